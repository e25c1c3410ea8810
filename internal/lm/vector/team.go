package vector

import (
	"errors"
	"runtime"
	"sync/atomic"

	"github.com/distillflow/distillflow/internal/base/parallel"
)

// Team is a set of goroutines that share loops. Decoding has tens of short loops a token,
// for which starting goroutines takes too long: a team's wait awake for a moment before
// they sleep. It belongs to one goroutine, which calls Run and, at the end, Stop.
type Team struct {
	now     atomic.Pointer[loop]
	members []*member
}

// loop is one call of Run.
type loop struct {
	n          int
	f          func(i int)
	next, done atomic.Int64
	panicked   atomic.Pointer[parallel.PanicError]
}

type member struct {
	asleep atomic.Bool
	wake   chan struct{}
}

// stop is the loop that ends the members.
var stop = &loop{}

// spins is how often a member looks for work before it sleeps: some tens of microseconds.
const spins = 200

// NewTeam starts a team of size goroutines, the caller included; 0 means as many as run at
// once.
func NewTeam(size int) *Team {
	if size <= 0 {
		size = runtime.GOMAXPROCS(0)
	}
	t := &Team{}
	for range size - 1 {
		m := &member{wake: make(chan struct{}, 1)}
		t.members = append(t.members, m)
		parallel.Start(func() error { t.serve(m); return nil })
	}
	return t
}

// Size is the number of goroutines, the caller included. A nil team is the caller alone.
func (t *Team) Size() int {
	if t == nil {
		return 1
	}
	return len(t.members) + 1
}

// Run calls f for each i < n, in any order and several at a time, and returns when all are
// done. If f panics, some i are left out and Run panics with a [*parallel.PanicError]. f
// must not call Run.
func (t *Team) Run(n int, f func(i int)) {
	if t.Size() == 1 || n <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	l := &loop{n: n, f: f}
	t.publish(l)
	l.work()
	for k := 0; l.done.Load() < int64(n); k++ {
		if k > 20 {
			runtime.Gosched()
		}
	}
	if p := l.panicked.Load(); p != nil {
		panic(p)
	}
}

// Stop ends the team's goroutines. Run must not be called after it.
func (t *Team) Stop() { t.publish(stop) }

func (t *Team) publish(l *loop) {
	t.now.Store(l)
	for _, m := range t.members {
		if m.asleep.CompareAndSwap(true, false) {
			m.wake <- struct{}{}
		}
	}
}

func (t *Team) serve(m *member) {
	var last *loop
	for {
		l := t.now.Load()
		for k := 0; l == last && k < spins; k++ {
			if k > 20 {
				runtime.Gosched()
			}
			l = t.now.Load()
		}
		if l == last {
			m.asleep.Store(true)
			// A loop that came meanwhile may have seen it awake.
			if l = t.now.Load(); l == last || !m.asleep.CompareAndSwap(true, false) {
				<-m.wake
				l = t.now.Load()
			}
		}
		if l == stop {
			return
		}
		l.work()
		last = l
	}
}

// work calls f until nothing is left to do. After a panic nothing is.
func (l *loop) work() {
	err := parallel.Call(func() error {
		for {
			i := l.next.Add(1) - 1
			if i >= int64(l.n) {
				return nil
			}
			l.f(int(i))
			l.done.Add(1)
		}
	})
	var p *parallel.PanicError
	if errors.As(err, &p) {
		l.panicked.CompareAndSwap(nil, p)
		left := int64(l.n) - l.next.Swap(int64(l.n))
		l.done.Add(1 + max(0, left))
	}
}
