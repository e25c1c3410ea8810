package train

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/lm/optim"
	"github.com/distillflow/distillflow/schema"
)

// ofMethod is the small config with a method's own settings.
func ofMethod(method string) trainConfig {
	c := smallConfig()
	c.Method, c.Router.Balance, c.Router.LR = method, nil, nil
	return c
}

// trained runs a config over test paths, whose prompts are the styles' own with styled.
func trained(t *testing.T, p *plan, paths []trainPath) *trainer {
	t.Helper()
	tr, _, err := newTrainer(t.Context(), p, 3, openCPU, paths)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.close)
	if err := tr.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return tr
}

// moved lists the parameters of the main phase that another run of the same seed without
// it does not have.
func moved(t *testing.T, cfg trainConfig) (names []string, tr *trainer) {
	t.Helper()
	tr = trained(t, cfg.plan(), testPaths(t, 6))
	fresh, _, err := newTrainer(t.Context(), cfg.plan(), 3, openCPU, testPaths(t, 6))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fresh.close)
	for i, x := range tr.tensors() {
		if !slices.Equal(x.Data, fresh.tensors()[i].Data) {
			names = append(names, x.Name)
		}
	}
	return names, tr
}

// What each method trains: in corrected and paper router, projections and ensemble weights
// learn; in original none of them do. The router's gradient there is zero up to rounding,
// the ensemble's weights get none, and the projections get one that no optimizer takes.
func TestWhatMethodsTrain(t *testing.T) {
	parts := []string{"a/", "b/", "a.proj/", "b.proj/", "router/router.fc1.weight", "router/router.fc2.weight", "router/ensemble.weight"}
	for method, want := range map[string][]string{
		methodCorrected: parts,
		methodPaper:     parts,
		methodOriginal:  parts[:2],
		methodNone:      parts[:2],
	} {
		cfg := ofMethod(method)
		cfg.LogEvery = 1
		names, tr := moved(t, cfg)
		for _, part := range parts {
			if got := slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, part) }); got != slices.Contains(want, part) && (method != methodOriginal || !strings.HasPrefix(part, "router/router.")) {
				t.Errorf("%s: %s moved: %v", method, part, got)
			}
		}
		if method == methodNone {
			if tr.router != nil || len(tr.routings) != 0 {
				t.Errorf("none: there is a router, or %d decisions", len(tr.routings))
			}
			continue
		}
		most := func(name string) float64 { return slices.Max(metric(tr.metrics, name)) }
		// Rounding alone: half a dozen orders below what the others' routers get.
		if v := most("router_grad_norm"); method == methodOriginal && v > 1e-7 || method != methodOriginal && v < 1e-5 {
			t.Errorf("%s: the router's gradient norm is %v", method, v)
		}
		if v := most("ensemble_grad_norm"); method == methodOriginal && v != 0 || method != methodOriginal && v < 1e-6 {
			t.Errorf("%s: the ensemble's gradient norm is %v", method, v)
		}
		if v := most("peer_proj_grad_norm"); v < 1e-4 {
			t.Errorf("%s: the projections' gradient norm is %v", method, v)
		}
		if v := most("z_rank"); !(v >= 1 && v <= 4) {
			t.Errorf("%s: rank of z %v", method, v)
		}
	}
}

// In original the router's scores have a gradient of rounding errors only, for any input.
func TestOriginalRouterGradientIsRounding(t *testing.T) {
	for _, students := range []int{2, 3} {
		r := testRouter(t, students, balanceStudents(1))
		grads, res, err := r.gradients(testInput(r, 8, 5))
		if err != nil {
			t.Fatal(err)
		}
		if n := optim.Norm(grads); n > 1e-6 || math.Abs(res.terms[0]) > 1e-5 {
			t.Errorf("%d students: balance %v, gradient %v", students, res.terms[0], n)
		}
		r = testRouter(t, students, balanceGates(1))
		if grads, _, err = r.gradients(testInput(r, 8, 5)); err != nil {
			t.Fatal(err)
		}
		if n := optim.Norm(grads); n < 1e-3 {
			t.Errorf("%d students: as published the gradient is %v", students, n)
		}
	}
}

// The ensemble's weights see the peers' loss as the students do: by finite differences of
// the loss over the states themselves.
func TestGammaPeersIsThePeersLoss(t *testing.T) {
	const paths, per, dim = 3, 5, 4
	for _, students := range []int{2, 3} {
		r := testRouter(t, students, gammaPeers(1))
		in := testInput(r, paths, 9)
		z := make([][]float32, students)
		states := make([][][]float32, students)
		for s := range z {
			for k := range paths * per * dim {
				z[s] = append(z[s], float32(math.Sin(float64(7*s+3*k+s*k))))
			}
			states[s] = meanState(z[s], []int{per, per, per}, per, dim)
		}
		in.states = nil
		for i := range paths {
			for s := range students {
				in.states = append(in.states, states[s][i]...)
			}
			for a := range students {
				for b := range students {
					var sum float64
					for j := i * per * dim; j < (i+1)*per*dim; j++ {
						sum += float64(z[a][j]) * float64(z[b][j]) / (paths * per * dim)
					}
					in.products = append(in.products, float32(sum))
				}
			}
		}
		loss := func() float64 {
			w := make([][]float32, students)
			for s := range w {
				w[s] = r.params[rGamma].Data[s*dim : (s+1)*dim]
			}
			x := &routed{z: z, gamma: ensembleWeights(w, states)}
			var sum float64
			for i := range paths {
				for k := range per {
					e := make([]float32, dim)
					x.target(e, i, k, per)
					for s := range z {
						for d := range e {
							diff := float64(z[s][(i*per+k)*dim+d] - e[d])
							sum += diff * diff / (paths * per * dim)
						}
					}
				}
			}
			return sum
		}
		grads, res, err := r.gradients(in)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(res.terms[0]-loss()) > 1e-4 {
			t.Errorf("%d students: loss %v, want %v", students, res.terms[0], loss())
		}
		for j := range grads[rGamma] {
			w := &r.params[rGamma].Data[j]
			at := *w
			const h = 0.02
			*w = at + h
			up := loss()
			*w = at - h
			down := loss()
			*w = at
			if want := (up - down) / (2 * h); math.Abs(float64(grads[rGamma][j])-want) > 2e-3*(1+math.Abs(want)) {
				t.Errorf("%d students: dL/dw_%d = %v, differences say %v", students, j, grads[rGamma][j], want)
			}
		}
		// So do the students: the gradient through the ensemble is that of the sum.
		x := &routed{z: z, gamma: ensembleWeights([][]float32{r.params[rGamma].Data[:dim], r.params[rGamma].Data[dim : 2*dim], r.params[rGamma].Data[len(r.params[rGamma].Data)-dim:]}[:students], states)}
		e := make([]float32, dim)
		x.target(e, 1, 2, per)
		pull := make([]float32, dim)
		x.pull(pull, e, 0, 1, 2, per)
		v := &z[0][(1*per+2)*dim]
		at := *v
		const h = 0.01
		sum := func(to float32) (l float64) {
			*v = to
			e := make([]float32, dim)
			x.target(e, 1, 2, per)
			for s := range z {
				for d := range e {
					diff := float64(z[s][(1*per+2)*dim+d] - e[d])
					l += diff * diff
				}
			}
			return l
		}
		want := (sum(at+h) - sum(at-h)) / (2 * h)
		*v = at
		if got := float64(2*(at-e[0]) + pull[0]); math.Abs(got-want) > 1e-3*(1+math.Abs(want)) {
			t.Errorf("%d students: dL/dz = %v, differences say %v", students, got, want)
		}
	}
}

// Each gate gives every path to somebody, whatever the number of students.
func TestGates(t *testing.T) {
	styles := map[string]string{}
	for i, s := range testStyles {
		styles[s] = []string{"a", "b", "c"}[i%3]
	}
	for _, gate := range []string{gateLearned, gateRandom, gateMatched, gateFixed, gateAll} {
		for _, students := range []int{2, 3} {
			cfg := smallConfig()
			cfg.Router.Gate, cfg.Epochs, cfg.MaxSteps, cfg.WarmupSteps = &gate, 2, 0, 1
			third := cfg.Students[0]
			third.Name, third.DModel = "c", 16
			cfg.Students = append(cfg.Students, third)[:students]
			if gate == gateFixed {
				cfg.Router.Table = map[string]string{}
				for s, name := range styles {
					cfg.Router.Table[s] = name
					if students == 2 && name == "c" {
						cfg.Router.Table[s] = "a"
					}
				}
			}
			p := cfg.plan()
			p.route.shares = map[string]float64{"a": 0.9, "b": 0.1}
			tr := trained(t, p, testPaths(t, 6))
			n, of := map[string]int{}, map[string]int{}
			for _, d := range tr.routings {
				of[d.ID+d.Style+string(rune('0'+d.Epoch))]++
				n[d.Student]++
				if gate == gateFixed && d.Student != cfg.Router.Table[d.Style] {
					t.Fatalf("fixed: style %s went to %s", d.Style, d.Student)
				}
				if len(d.Losses) != students || len(d.Weights) != students || len(d.Probs) != students {
					t.Fatalf("%s: the decision names other than all students: %+v", gate, d)
				}
			}
			times := 1
			if gate == gateAll {
				times = students
			}
			if len(of) != 2*len(tr.lengths) || len(tr.routings) != times*len(of) {
				t.Errorf("%s, %d students: %d decisions on %d paths of 2 epochs", gate, students, len(tr.routings), len(tr.lengths))
			}
			if gate == gateMatched && (n["c"] != 0 || n["a"] < 5*n["b"]) {
				t.Errorf("matched: 0.9 and 0.1 gave %v", n)
			}
			if learned := len(metric(tr.metrics, "router_grad_norm")) > 0; learned != (gate == gateLearned) {
				t.Errorf("%s: metrics of a learned router: %v", gate, learned)
			}
		}
	}
	cfg := smallConfig()
	cfg.Router.Gate, cfg.Router.Table = new(gateFixed), map[string]string{"cot": "a"}
	if _, _, err := newTrainer(t.Context(), cfg.plan(), 3, openCPU, testPaths(t, 6)); err == nil || !strings.Contains(err.Error(), "router.table names no student for style") {
		t.Errorf("a table with holes: %v", err)
	}
}

func TestSharesOf(t *testing.T) {
	students := []studentPlan{{name: "a"}, {name: "b"}}
	log := func(names ...string) stage.Rows[schema.RouterDecision] {
		var rows []schema.RouterDecision
		for _, n := range names {
			rows = append(rows, schema.RouterDecision{Student: n})
		}
		in := writeRows(t, filepath.Join(t.TempDir(), "log.jsonl"), rows)
		return stage.RowsFrom[schema.RouterDecision](in.Path, in.Label)
	}
	got, err := sharesOf(log("a", "a", "b", "a"), students)
	if err != nil || got["a"] != 0.75 || got["b"] != 0.25 {
		t.Errorf("shares %v, %v", got, err)
	}
	for want, rows := range map[string]stage.Rows[schema.RouterDecision]{
		`student "x"`: log("a", "x"), "holds no decision": log(),
	} {
		if _, err := sharesOf(rows, students); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	matched := configOf[trainConfig](t, TrainMoE, map[string]any{"router": map[string]any{"gate": "matched"}})
	for n, want := range []string{"give this one its decisions", ""} {
		if err := matched.Wired(func(string) int { return n }); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%d inputs shares: %v, want %q", n, err, want)
		}
	}
}

// Every distance is zero at the ensemble and pulls toward it.
func TestPeerDistances(t *testing.T) {
	mask := []float32{1, 1, 1, 0}
	z := []float32{1, 0.5, -1, 0.2, 2, 3, 99, -99}
	target := []float32{1, 1, 0.5, -0.5, 1, -1, 0, 0}
	for _, kind := range []string{peerMSE, peerKL, peerCosine} {
		if v, _ := distanceOf(t, kind, z, mask, z); math.Abs(v) > 1e-5 {
			t.Errorf("%s: distance to itself is %v", kind, v)
		}
		v, grad := distanceOf(t, kind, z, mask, target)
		step := slices.Clone(z)
		for i := range step {
			step[i] -= 0.05 * grad[i]
		}
		if nearer, _ := distanceOf(t, kind, step, mask, target); !(v > 0.1 && nearer < v) {
			t.Errorf("%s: distance %v, and %v after a step", kind, v, nearer)
		}
		if grad[6] != 0 || grad[7] != 0 {
			t.Errorf("%s: a masked row has gradient %v", kind, grad[6:])
		}
	}
}

func TestPeerKindsTrain(t *testing.T) {
	for _, kind := range []string{peerKL, peerCosine, peerNone} {
		cfg := smallConfig()
		cfg.Peer.Loss = &kind
		tr := trained(t, cfg.plan(), testPaths(t, 6))
		if got := len(metric(tr.metrics, "peer_loss")) > 0; got != (kind != peerNone) {
			t.Errorf("%s: peer_loss is logged: %v", kind, got)
		}
	}
}

func TestEffectiveRank(t *testing.T) {
	for _, c := range []struct {
		z    []float32
		want float64
	}{
		{[]float32{1, 1, -1, -1, 9, 9, 2, 2}, 1}, // one line
		{[]float32{1, 0, -1, 0, 0, 1, 0, -1}, 2}, // two directions alike
		{[]float32{3, 3, 3, 3, 3, 3, 3, 3}, 0},   // a point
	} {
		if got := effectiveRank(c.z, []int{4}, 4, 2); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("rank of %v is %v, want %v", c.z, got, c.want)
		}
	}
	// Positions that are not aligned do not count.
	if got := effectiveRank([]float32{1, 0, -1, 0, 0, 1, 0, -1}, []int{2}, 4, 2); math.Abs(got-1) > 1e-9 {
		t.Errorf("rank of two positions is %v", got)
	}
}

func TestMethodConfigErrors(t *testing.T) {
	for cfg, want := range map[string]string{
		`{"lambda2": 0.1}`:                                     "lambda2 is now peer.weight",
		`{"tau_start": 1}`:                                     "tau_start is now router.tau.start",
		`{"encoder": "x"}`:                                     "encoder is now router.encoder",
		`{"router": {"gate": "fixed"}}`:                        "router.table: gate: fixed needs",
		`{"router": {"table": {"cot": "llama"}}}`:              "router.table: nothing reads it with gate: learned",
		`{"router": {"gate": "fixed", "table": {"cot": "x"}}}`: `router.table.cot: there is no student "x"`,
		`{"router": {"gate": "random", "encoder": "x"}}`:       "router.encoder: nothing reads it",
		`{"router": {"lr": 0}}`:                                "router.lr: must be positive",
		`{"peer": {"temperature": 0}}`:                         "peer.temperature: must be positive",
		`{"peer": {"loss": "l1"}}`:                             "peer.loss",
		`{"method": "published"}`:                              "method",
		`{"batch": 4, "paths_per_step": 5}`:                    "paths_per_step: 5 is more than batch 4",
		`{"router": {"signal": "gain"}}`:                       "router.signal: gain is measured on held-out problems",
		`{"router": {"signal": "held-out"}}`:                   "router.signal: held-out is measured on held-out problems",
		`{"router": {"gate": "random", "shuffle": true}}`:      "router.shuffle: nothing reads encodings",
	} {
		var tree map[string]any
		if err := json.Unmarshal([]byte(cfg), &tree); err != nil {
			t.Fatal(err)
		}
		if _, errs := TrainMoE.Decode(tree); !slices.ContainsFunc(errs, func(e stage.FieldError) bool { return strings.Contains(e.Error(), want) }) {
			t.Errorf("%s: errors %v do not say %q", cfg, errs, want)
		}
	}
	// What moved has no field any more, and its new place is one.
	for old, to := range (trainConfig{}).MovedFields() {
		at, ok := TrainMoE.Config, true
		for name := range strings.SplitSeq(to, ".") {
			var f stage.Field
			if f, ok = at.Field(name); !ok {
				t.Errorf("%s: %s is no field", old, to)
				break
			}
			at = f.Schema
		}
		if _, ok := TrainMoE.Config.Field(old); ok {
			t.Errorf("%s is still a field", old)
		}
	}
}

// The table of docs/train-moe.md says what each method sets.
func TestMethodsAsDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "train-moe.md"))
	if err != nil {
		t.Fatal(err)
	}
	row := func(field string) []string {
		for line := range strings.Lines(string(page)) {
			if strings.HasPrefix(line, "| `"+field+"`") {
				return strings.Split(strings.Trim(line, "| \n"), " | ")[1:]
			}
		}
		return make([]string, 4)
	}
	for i, method := range []string{methodCorrected, methodPaper, methodOriginal, methodNone} {
		s := presets()[method]
		for field, want := range map[string]string{
			"router.gate": s.gate, "router.signal": s.signal, "router.balance": fmt.Sprint(s.balance), "router.lr": fmt.Sprint(s.routerLR),
			"router.tau.start": fmt.Sprint(s.tauStart, ", ", s.tauEnd), "peer.loss": s.peer, "peer.weight": fmt.Sprint(s.weight),
			"peer.variance": fmt.Sprint(s.variance), "peer.covariance": fmt.Sprint(s.covariance), "peer.rows": s.rows,
			"peer.lr": fmt.Sprint(s.peerLR), "peer.gamma": fmt.Sprint(s.gamma), "student_prompt": s.prompt,
		} {
			if got := row(field)[i]; got != want && (method != methodNone || got != "-") {
				t.Errorf("%s: the table gives %q for %s, and it is %s", method, got, field, want)
			}
		}
	}
}
