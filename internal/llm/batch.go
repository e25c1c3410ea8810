package llm

import (
	"context"
	"encoding/base64"
	"time"
)

// JobClient is a client whose provider also answers many requests together, later and as
// a rule for less money: OpenAI's and Gemini's batch APIs. One such batch is called a job
// here. A method makes one attempt and fails as [Client.Complete] does; [Jobs] owns the
// rest.
type JobClient interface {
	Client

	// JobLimits bounds one job.
	JobLimits() JobLimits
	// EncodeJob gives a request as one element of a job. id comes back with its answer.
	EncodeJob(id string, req Request) ([]byte, error)
	// SubmitJob hands elements for one model in and returns the provider's id of the job.
	// FindJob must find the job by name from the moment the provider has accepted it.
	SubmitJob(ctx context.Context, name, model string, elements [][]byte) (id string, err error)
	// FindJob looks for a job by the name it was submitted under, among those created
	// after since. ok is false where there is none.
	FindJob(ctx context.Context, name string, since time.Time) (id string, ok bool, err error)
	// JobState says how far a job is.
	JobState(ctx context.Context, id string) (JobState, error)
	// JobAnswers gives what an ended job has answered, in any order. Requests that the job
	// did not get to are missing. An error of each ends the reading.
	JobAnswers(ctx context.Context, id string, each func(JobAnswer) error) error
}

// JobLimits is what one job may hold at most.
type JobLimits struct {
	Requests int
	Bytes    int // of all elements, with a line break after each
}

// JobState is a job's state.
type JobState struct {
	Ended   bool
	Status  string // the provider's own word for it, such as expired
	Total   int    // requests; 0 where the provider does not say
	Done    int    // answered so far
	Failed  int    // refused so far
	Message string // why the job as a whole failed
	Full    bool   // it was refused because too much is waiting at the provider already
}

// JobAnswer is the outcome of one request of a job.
type JobAnswer struct {
	ID       string
	Response *Response // nil where Err is set
	Err      error     // an *Error
}

// jobID is a memo key as the id of a job's element: 43 characters, which is less than
// every provider's limit.
func jobID(key [32]byte) string { return base64.RawURLEncoding.EncodeToString(key[:]) }

func parseJobID(s string) (key [32]byte, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != len(key) {
		return key, false
	}
	return [32]byte(b), true
}

// A job's life, in records that lie in the memo beside the answers. A record is written
// once and never changed.
//
//	pointer  key of a request, n  -> name of the n-th job that asks for it
//	intent   name                 -> jobIntent: from here on the job may exist
//	opened   name                 -> jobOpened: the provider's id
//	closed   name                 -> jobClosed: its answers are in the memo
//
// Pointers are written before the intent and mean nothing without it. An intent without an
// opened record may or may not have reached the provider, which is asked by name.
type jobIntent struct {
	Name     string    `json:"name"`
	Provider string    `json:"provider"`
	Endpoint string    `json:"endpoint"`
	Model    string    `json:"model"`
	Requests int       `json:"requests"`
	Worst    Charge    `json:"worst"`
	Price    *Price    `json:"price,omitempty"`
	Refresh  string    `json:"refresh,omitempty"`
	At       time.Time `json:"at"`
}

type jobOpened struct {
	ID string `json:"id"`
}

type jobClosed struct {
	Status  string `json:"status"`
	Cost    Charge `json:"cost"`
	Answers int    `json:"answers"`
}

// jobBook reads and writes these records.
type jobBook struct{ memo Memo }

func (b jobBook) intent(name string) (*jobIntent, error) {
	var r jobIntent
	ok, err := getRecord(b.memo, &r, "llm-job-1", "intent", name)
	if !ok {
		return nil, err
	}
	return &r, nil
}

func (b jobBook) opened(name string) (id string, err error) {
	var r jobOpened
	_, err = getRecord(b.memo, &r, "llm-job-1", "opened", name)
	return r.ID, err
}

func (b jobBook) closed(name string) (*jobClosed, error) {
	var r jobClosed
	ok, err := getRecord(b.memo, &r, "llm-job-1", "closed", name)
	if !ok {
		return nil, err
	}
	return &r, nil
}

func (b jobBook) put(v any, kind, name string) error {
	return putRecord(b.memo, v, "llm-job-1", kind, name)
}

// asking finds the job that a request waits in. Without one it returns "" and the number
// for the pointer of the next.
func (b jobBook) asking(key [32]byte) (name string, next int, err error) {
	for n := 0; ; n++ {
		var p string
		ok, err := getRecord(b.memo, &p, "llm-job-1", "pointer", jobID(key), n)
		if err != nil || !ok {
			return "", n, err
		}
		in, err := b.intent(p)
		if err != nil {
			return "", n, err
		}
		if in == nil {
			continue // never submitted
		}
		done, err := b.closed(p)
		if err != nil {
			return "", n, err
		}
		if done == nil {
			return p, n + 1, nil
		}
	}
}

func (b jobBook) point(key [32]byte, n int, name string) error {
	return putRecord(b.memo, name, "llm-job-1", "pointer", jobID(key), n)
}
