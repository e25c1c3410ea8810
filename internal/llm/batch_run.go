package llm

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"
)

// JobOptions tunes Jobs. Zero fields get the defaults of package providers' config.
type JobOptions struct {
	Price       *Price        // of requests in jobs; nil: not known
	MaxRequests int           // most in one job; 0: what the provider takes
	AutoBelow   int           // with fewer requests than this, nothing is submitted and all are asked one by one
	OnlyResume  bool          // submit nothing: collect what earlier runs submitted
	MinPoll     time.Duration // between two looks at the provider, at first; 0: 10 s
	MaxPoll     time.Duration // and at most; 0: 5 min
	MaxWait     time.Duration // how long one run waits; 0: for ever
	Fault       func(string)  // called at named points, where crash tests stop; nil: nothing
}

// Jobs buys the answers to many requests through a provider's batch API and puts each
// into the memo under the very key of a single call, so that the Transport afterwards
// finds them there.
//
// A crash at any point buys nothing twice: what a job asks for is recorded before the
// provider hears of it, the provider is asked by name for a job of which it is not known
// whether it arrived, and a job in flight is found again by every later run that wants one
// of its answers, also by another recipe's. The one gap is a provider that lists a job
// only later than MinPoll after it took it.
type Jobs struct {
	t      *Transport
	c      JobClient
	o      JobOptions
	book   jobBook
	atOnce int             // answers that go into the memo together
	held   map[string]bool // jobs whose reservations are our budget's

	mu      sync.Mutex
	open    map[string]*openJob
	failed  map[[32]byte]error    // final for this run
	bought  map[[32]byte]struct{} // by this run
	blocked error                 // why some requests were not submitted
	single  bool                  // the rest is asked one by one
	view    JobView
}

// openJob is a job in flight.
type openJob struct {
	jobIntent
	id     string
	wanted map[[32]byte]bool
	state  JobState
}

// JobView is what a live view shows of jobs.
type JobView struct {
	Jobs     int       // submitted or taken up by this run
	Open     int       // not ended
	Requests int       // in open jobs
	Done     int       // of them, as far as the provider says
	Expired  int       // requests that a job ended without
	Next     time.Time // the next look; zero while nothing is waited for
	Message  string
}

// NewJobs makes the Transport answer through jobs: call Fetch, then ask the Transport. It
// fails if the provider has no batch API, or without a memo that keeps what is put into it.
func (t *Transport) NewJobs(o JobOptions) (*Jobs, error) {
	c, ok := t.p.Client.(JobClient)
	if !ok {
		return nil, fmt.Errorf("%s has no batch API", t.p.Name)
	}
	if t.o.Memo == nil {
		return nil, errors.New("batches need a memo of paid answers")
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
	limits := c.JobLimits()
	if o.MaxRequests <= 0 || o.MaxRequests > limits.Requests {
		o.MaxRequests = limits.Requests
	}
	j := &Jobs{t: t, c: c, o: o, atOnce: recordAtOnce, book: jobBook{t.o.Memo}, held: map[string]bool{}, open: map[string]*openJob{},
		failed: map[[32]byte]error{}, bought: map[[32]byte]struct{}{}}
	t.jobs = j
	return j, nil
}

// Fetch submits every request of seq that has no answer yet, waits for the jobs, and
// records their answers. seq is read more than once; it may give more once there are
// answers. Fetch returns an error only for what would fail every request: the answers that
// are missing afterwards are told by the Transport, request by request.
func (j *Jobs) Fetch(ctx context.Context, seq iter.Seq2[Request, error]) error {
	if interceptorOf(ctx) != nil { // answers come from elsewhere
		j.single = true
		return nil
	}
	for _, name := range j.t.o.Budget.heldJobs() {
		j.held[name] = true
		if err := j.takeUp(ctx, name); err != nil {
			return err
		}
	}
	j.single = j.o.OnlyResume
	if !j.single && j.o.AutoBelow > 0 {
		n, err := j.count(seq)
		if err != nil {
			return err
		}
		j.single = n < j.o.AutoBelow
	}
	for {
		j.blocked = nil
		if err := j.submitClaimed(ctx, seq); err != nil {
			return err
		}
		if len(j.open) == 0 {
			return nil
		}
		answers, full, err := j.wait(ctx)
		if err != nil {
			return err
		}
		switch {
		case full && answers == 0:
			// Nothing of ours that is still to end makes room there.
			if j.o.MaxRequests <= 1 {
				return nil
			}
			j.o.MaxRequests = max(1, j.o.MaxRequests/2)
			j.t.o.Notify(fmt.Sprintf("%s refuses batches of this size; going on with at most %d requests each", j.t.p.Name, j.o.MaxRequests))
		case !full && answers == 0:
			return nil
		}
	}
}

// count is how many requests of seq neither have an answer nor wait in a job.
func (j *Jobs) count(seq iter.Seq2[Request, error]) (n int, err error) {
	for req, err := range seq {
		if err != nil {
			return n, err
		}
		key, r, err := j.t.peek(req)
		if err != nil {
			return n, err
		}
		if r != nil {
			continue
		}
		name, _, err := j.book.asking(key)
		if err != nil {
			return n, err
		}
		if name == "" {
			if n++; n >= j.o.AutoBelow {
				return n, nil
			}
		}
	}
	return n, nil
}

// takeUp adds a job of an earlier run, or of another recipe's, to the open ones.
func (j *Jobs) takeUp(ctx context.Context, name string) error {
	if j.open[name] != nil {
		return nil
	}
	in, err := j.book.intent(name)
	if err != nil || in == nil {
		return err
	}
	done, err := j.book.closed(name)
	if err != nil {
		return err
	}
	if done != nil { // another process has just collected it
		return j.settle(*in, *done)
	}
	if in.Provider != j.t.p.Name || in.Endpoint != j.t.p.Endpoint {
		return nil // of a provider that this work asked before; its reservation stays
	}
	id, err := j.book.opened(name)
	if err != nil {
		return err
	}
	if id == "" {
		// Twice: a job that was submitted this moment may not be listed yet.
		ok := false
		for range 2 {
			if id, ok, err = j.find(ctx, *in); err != nil || ok {
				break
			}
			if err = sleep(ctx, j.o.MinPoll); err != nil {
				break
			}
		}
		if err != nil {
			return err
		}
		if !ok {
			return j.close(*in, jobClosed{Status: "never submitted"})
		}
		if err := j.book.put(jobOpened{ID: id}, "opened", name); err != nil {
			return err
		}
	}
	j.t.o.Notify(fmt.Sprintf("going on with batch %s of %d requests, submitted %s", id, in.Requests, in.At.Local().Format(time.DateTime)))
	j.add(&openJob{jobIntent: *in, id: id, wanted: map[[32]byte]bool{}})
	return nil
}

func (j *Jobs) add(o *openJob) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.open[o.Name] = o
	j.view.Jobs++
	j.look(time.Time{})
}

// close ends a job's life in the records and in the budget.
func (j *Jobs) close(in jobIntent, c jobClosed) error {
	if err := j.book.put(c, "closed", in.Name); err != nil {
		return err
	}
	j.o.Fault("job-closed")
	return j.settle(in, c)
}

func (j *Jobs) settle(in jobIntent, c jobClosed) error {
	own := j.held[in.Name]
	delete(j.held, in.Name)
	return j.t.o.Budget.settleJob(in.Name, in.Worst, c.Cost, c.Answers, own)
}

// verdict says why a request without an answer gets none; nil leaves it to a single call.
func (j *Jobs) verdict(key [32]byte) error {
	if j == nil || j.single {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.failed[key]; err != nil {
		return err
	}
	return j.blocked
}

// paid reports whether this run bought the answer under a key.
func (j *Jobs) paid(key [32]byte) bool {
	if j == nil {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	_, ok := j.bought[key]
	return ok
}

// own names the provider in an error.
func (j *Jobs) own(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return &Error{Kind: KindOf(err), Provider: j.t.p.Name, Err: err}
	}
	c := *e
	c.Provider = j.t.p.Name
	return &c
}
