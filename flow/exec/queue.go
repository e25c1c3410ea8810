package exec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/internal/base/text"
)

// Limits is what the stages that run at a time may declare together in their
// resources:. A nil member sets no limit.
type Limits struct {
	CPUs   *float64
	Memory *int64 // bytes
	GPUs   *int64
}

// amount is a sum of declared resources. It counts CPUs in thousandths, because
// adding and subtracting fractions leaves rounding errors.
type amount struct{ cpus, memory, gpus int64 }

func declared(n *graph.Node) amount {
	r := n.Stage.Resources
	return amount{cpus: milli(r.CPUs), memory: r.Memory, gpus: r.GPUs}
}

func milli(cpus float64) int64 { return int64(cpus*1000 + 0.5) }

func (l Limits) amount() amount {
	const unlimited = int64(1) << 62
	a := amount{unlimited, unlimited, unlimited}
	if l.CPUs != nil {
		a.cpus = milli(*l.CPUs)
	}
	if l.Memory != nil {
		a.memory = *l.Memory
	}
	if l.GPUs != nil {
		a.gpus = *l.GPUs
	}
	return a
}

func (a amount) fits(free amount) bool {
	return a.cpus <= free.cpus && a.memory <= free.memory && a.gpus <= free.gpus
}

func (a amount) min(b amount) amount {
	return amount{min(a.cpus, b.cpus), min(a.memory, b.memory), min(a.gpus, b.gpus)}
}

func (a amount) plus(b amount, sign int64) amount {
	return amount{a.cpus + sign*b.cpus, a.memory + sign*b.memory, a.gpus + sign*b.gpus}
}

// Check says what a stage declares that the limits can never give, or nil.
func (l Limits) Check(n *graph.Node) error {
	want, have := declared(n), l.amount()
	if want.fits(have) {
		return nil
	}
	var parts []string
	r := n.Stage.Resources
	if want.cpus > have.cpus {
		parts = append(parts, fmt.Sprintf("%g cpus, and there are %g (--cpus)", r.CPUs, *l.CPUs))
	}
	if want.memory > have.memory {
		parts = append(parts, fmt.Sprintf("%s of memory, and there is %s (--memory)", text.Size(r.Memory), text.Size(*l.Memory)))
	}
	if want.gpus > have.gpus {
		parts = append(parts, fmt.Sprintf("%d gpus, and there are %d (--gpus)", r.GPUs, *l.GPUs))
	}
	return fmt.Errorf("it declares %s: run it on a larger machine, declare less, or raise the limit with the flag", strings.Join(parts, "; "))
}

// work is what waits for its turn: a node, or one more shard of a node that runs.
type work struct {
	node  *graph.Node
	start func() // called when its turn has come; it must not block
}

// queue holds the work that is ready to run and gives it out in the order in which it
// became ready, passing over that whose resources are taken. The scheduling loop owns it.
type queue struct {
	total, free amount
	ready       []work
}

func newQueue(l Limits) *queue { return &queue{total: l.amount(), free: l.amount()} }

// want is what a node takes. One that declares more than there is takes all of it:
// its result may be cached, and otherwise it is refused when it is to run.
func (q *queue) want(n *graph.Node) amount { return declared(n).min(q.total) }

func (q *queue) push(w work) { q.ready = append(q.ready, w) }

// next takes the first work that fits and reserves what its node declares; false if none
// does.
func (q *queue) next() (work, bool) {
	for i, w := range q.ready {
		if want := q.want(w.node); want.fits(q.free) {
			q.ready = slices.Delete(q.ready, i, i+1)
			q.free = q.free.plus(want, -1)
			return w, true
		}
	}
	return work{}, false
}

// release gives back what work of next has taken.
func (q *queue) release(n *graph.Node) { q.free = q.free.plus(q.want(n), 1) }

// withdraw takes a node's work back.
func (q *queue) withdraw(n *graph.Node) {
	q.ready = slices.DeleteFunc(q.ready, func(w work) bool { return w.node == n })
}
