package llm

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"
)

// BatchOptions tunes Batches. Zero fields get the defaults of package providers' config.
type BatchOptions struct {
	Price       *Price        // of requests in batches; nil: not known
	MaxRequests int           // most in one batch; 0: what the provider takes
	AutoBelow   int           // with fewer requests than this, nothing is submitted and all are asked one by one
	OnlyResume  bool          // submit nothing: collect what earlier runs submitted
	MinPoll     time.Duration // between two looks at the provider, at first; 0: 10 s
	MaxPoll     time.Duration // and at most; 0: 5 min
	MaxWait     time.Duration // how long one run waits; 0: for ever
	Fault       func(string)  // called at named points, where crash tests stop; nil: nothing
}

// Batches buys the answers to many requests through a provider's batch API and puts each
// into the memo under the very key of a single call, so that the Transport afterwards
// finds them there.
//
// A crash at any point buys nothing twice: what a batch asks for is recorded before the
// provider hears of it, the provider is asked by name for a batch of which it is not known
// whether it arrived, and a batch in flight is found again by every later run that wants one
// of its answers, also by another recipe's. The one gap is a provider that lists a batch
// only later than MinPoll after it took it.
type Batches struct {
	t      *Transport
	c      BatchClient
	o      BatchOptions
	book   batchRecords
	atOnce int             // answers that go into the memo together
	held   map[string]bool // batches whose reservations are our budget's

	mu      sync.Mutex
	open    map[string]*openBatch
	failed  map[[32]byte]error    // final for this run
	bought  map[[32]byte]struct{} // by this run
	blocked error                 // why some requests were not submitted
	single  bool                  // the rest is asked one by one
	view    BatchView
}

// openBatch is a batch in flight.
type openBatch struct {
	batchIntent
	id     string
	wanted map[[32]byte]bool
	state  BatchState
}

// BatchView is what a live view shows of batches.
type BatchView struct {
	Batches  int       // submitted or taken up by this run
	Open     int       // not ended
	Requests int       // in open batches
	Done     int       // of them, as far as the provider says
	Expired  int       // requests that a batch ended without
	Next     time.Time // the next look; zero while nothing is waited for
	Message  string
}

// NewBatches makes the Transport answer through batches: call Fetch, then ask the Transport. It
// fails if the provider has no batch API, or without a memo that keeps what is put into it.
func (t *Transport) NewBatches(o BatchOptions) (*Batches, error) {
	c, ok := t.p.Client.(BatchClient)
	if !ok {
		return nil, fmt.Errorf("%s has no batch API", t.p.Name)
	}
	if t.o.Memo == nil {
		return nil, errors.New("mode: batch needs a memo of paid answers")
	}
	if o.MinPoll <= 0 {
		o.MinPoll = 10 * time.Second
	}
	if o.MaxPoll <= 0 {
		o.MaxPoll = 5 * time.Minute
	}
	o.MaxPoll = max(o.MaxPoll, o.MinPoll)
	if o.Fault == nil {
		o.Fault = func(string) {}
	}
	limits := c.BatchLimits()
	if o.MaxRequests <= 0 || o.MaxRequests > limits.Requests {
		o.MaxRequests = limits.Requests
	}
	bs := &Batches{t: t, c: c, o: o, atOnce: recordAtOnce, book: batchRecords{t.o.Memo}, held: map[string]bool{}, open: map[string]*openBatch{},
		failed: map[[32]byte]error{}, bought: map[[32]byte]struct{}{}}
	t.batches = bs
	return bs, nil
}

// Fetch submits every request of seq that has no answer yet, waits for the batches, and
// records their answers. seq is read more than once; it may give more once there are
// answers. Fetch returns an error only for what would fail every request: the answers that
// are missing afterwards are told by the Transport, request by request.
func (bs *Batches) Fetch(ctx context.Context, seq iter.Seq2[Request, error]) error {
	if interceptorOf(ctx) != nil { // answers come from elsewhere
		bs.single = true
		return nil
	}
	for _, name := range bs.t.o.Budget.heldBatches() {
		bs.held[name] = true
		if err := bs.takeUp(ctx, name); err != nil {
			return err
		}
	}
	bs.single = bs.o.OnlyResume
	if !bs.single && bs.o.AutoBelow > 0 {
		n, err := bs.count(seq)
		if err != nil {
			return err
		}
		bs.single = n < bs.o.AutoBelow
	}
	for {
		bs.blocked = nil
		if err := bs.submitClaimed(ctx, seq); err != nil {
			return err
		}
		if len(bs.open) == 0 {
			return nil
		}
		answers, full, err := bs.wait(ctx)
		if err != nil {
			return err
		}
		switch {
		case full && answers == 0:
			// Nothing of ours that is still to end makes room there.
			if bs.o.MaxRequests <= 1 {
				return nil
			}
			bs.o.MaxRequests = max(1, bs.o.MaxRequests/2)
			bs.t.o.Notify(fmt.Sprintf("%s refuses batches of this size; further ones have at most %d requests", bs.t.p.Name, bs.o.MaxRequests))
		case !full && answers == 0:
			return nil
		}
	}
}

// count is how many requests of seq neither have an answer nor wait in a batch.
func (bs *Batches) count(seq iter.Seq2[Request, error]) (n int, err error) {
	for req, err := range seq {
		if err != nil {
			return n, err
		}
		key, r, err := bs.t.peek(req)
		if err != nil {
			return n, err
		}
		if r != nil {
			continue
		}
		name, _, err := bs.book.asking(key)
		if err != nil {
			return n, err
		}
		if name == "" {
			if n++; n >= bs.o.AutoBelow {
				return n, nil
			}
		}
	}
	return n, nil
}

// takeUp adds a batch of an earlier run, or of another recipe's, to the open ones.
func (bs *Batches) takeUp(ctx context.Context, name string) error {
	if bs.open[name] != nil {
		return nil
	}
	in, err := bs.book.intent(name)
	if err != nil || in == nil {
		return err
	}
	done, err := bs.book.closed(name)
	if err != nil {
		return err
	}
	if done != nil { // another process has just collected it
		return bs.settle(*in, *done)
	}
	if in.Provider != bs.t.p.Name || in.Endpoint != bs.t.p.Endpoint {
		return nil // of a provider that this work asked before; its reservation stays
	}
	id, err := bs.book.opened(name)
	if err != nil {
		return err
	}
	if id == "" {
		// Twice: a batch that was submitted this moment may not be listed yet.
		ok := false
		for range 2 {
			if id, ok, err = bs.find(ctx, *in); err != nil || ok {
				break
			}
			if err = sleep(ctx, bs.o.MinPoll); err != nil {
				break
			}
		}
		if err != nil {
			return err
		}
		if !ok {
			return bs.close(*in, batchClosed{Status: "never submitted"})
		}
		if err := bs.book.put(batchOpened{ID: id}, "opened", name); err != nil {
			return err
		}
	}
	bs.t.o.Notify(fmt.Sprintf("waiting for batch %s of %d requests, submitted %s", id, in.Requests, in.At.Local().Format(time.DateTime)))
	bs.add(&openBatch{batchIntent: *in, id: id, wanted: map[[32]byte]bool{}})
	return nil
}

func (bs *Batches) add(o *openBatch) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	bs.open[o.Name] = o
	bs.view.Batches++
	bs.updateView(time.Time{})
}

// close ends a batch's life in the records and in the budget.
func (bs *Batches) close(in batchIntent, c batchClosed) error {
	if err := bs.book.put(c, "closed", in.Name); err != nil {
		return err
	}
	bs.o.Fault("batch-closed")
	return bs.settle(in, c)
}

func (bs *Batches) settle(in batchIntent, c batchClosed) error {
	own := bs.held[in.Name]
	delete(bs.held, in.Name)
	return bs.t.o.Budget.settleBatch(in.Name, in.Worst, c.Cost, c.Answers, own)
}

// verdict says why a request without an answer gets none; nil leaves it to a single call.
func (bs *Batches) verdict(key [32]byte) error {
	if bs == nil || bs.single {
		return nil
	}
	bs.mu.Lock()
	defer bs.mu.Unlock()
	if err := bs.failed[key]; err != nil {
		return err
	}
	return bs.blocked
}

// paid reports whether this run bought the answer under a key.
func (bs *Batches) paid(key [32]byte) bool {
	if bs == nil {
		return false
	}
	bs.mu.Lock()
	defer bs.mu.Unlock()
	_, ok := bs.bought[key]
	return ok
}

// own names the provider in an error.
func (bs *Batches) own(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return &Error{Kind: KindOf(err), Provider: bs.t.p.Name, Err: err}
	}
	c := *e
	c.Provider = bs.t.p.Name
	return &c
}
