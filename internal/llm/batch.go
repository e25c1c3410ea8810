package llm

import (
	"context"
	"encoding/base64"
	"time"
)

// BatchClient is a client whose provider also answers many requests together in a batch,
// later and as a rule for less money: those of OpenAI, Gemini and Anthropic. A method makes one
// attempt and fails as [Client.Complete] does; [Batches] owns the
// rest.
type BatchClient interface {
	Client

	// BatchLimits bounds one batch.
	BatchLimits() BatchLimits
	// EncodeForBatch gives a request as one element of a batch. id comes back with its answer.
	EncodeForBatch(id string, req Request) ([]byte, error)
	// SubmitBatch hands elements for one model in and returns the provider's id of the batch.
	// FindBatch must find the batch by name from the moment the provider has accepted it.
	SubmitBatch(ctx context.Context, name, model string, elements [][]byte) (id string, err error)
	// FindBatch looks for a batch by the name it was submitted under, among those created
	// after since. ok is false where there is none.
	FindBatch(ctx context.Context, name string, since time.Time) (id string, ok bool, err error)
	// BatchState says how far a batch is.
	BatchState(ctx context.Context, id string) (BatchState, error)
	// BatchAnswers gives what an ended batch has answered, in any order. Requests that the batch
	// did not get to are missing. An error of each ends the reading.
	BatchAnswers(ctx context.Context, id string, each func(BatchAnswer) error) error
	// CancelBatch asks the provider to stop working on a batch. It ends with the answers that
	// the provider has by then.
	CancelBatch(ctx context.Context, id string) error
}

// BatchLimits is what one batch may hold at most.
type BatchLimits struct {
	Requests int
	Bytes    int // of all elements, with a line break after each
}

// BatchState is a batch's state.
type BatchState struct {
	Ended   bool
	Status  string // the provider's own word for it, such as expired
	Total   int    // requests; 0 where the provider does not say
	Done    int    // answered so far
	Failed  int    // refused so far
	Message string // why the batch as a whole failed
	Full    bool   // it was refused because too much is waiting at the provider already
}

// BatchAnswer is the outcome of one request of a batch.
type BatchAnswer struct {
	ID       string
	Response *Response // nil where Err is set
	Err      error     // an *Error
}

// elementID is a memo key as the id of a batch's element: 43 characters, which is less than
// every provider's limit.
func elementID(key [32]byte) string { return base64.RawURLEncoding.EncodeToString(key[:]) }

func parseElementID(s string) (key [32]byte, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != len(key) {
		return key, false
	}
	return [32]byte(b), true
}

// A batch's life, in records that lie in the memo beside the answers. A record is written
// once and never changed.
//
//	pointer  key of a request, n  -> name of the n-th batch that asks for it
//	intent   name                 -> batchIntent: from here on the batch may exist
//	opened   name                 -> batchOpened: the provider's id
//	closed   name                 -> batchClosed: its answers are in the memo
//
// Pointers are written before the intent and mean nothing without it. An intent without an
// opened record may or may not have reached the provider, which is asked by name.
type batchIntent struct {
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

type batchOpened struct {
	ID string `json:"id"`
}

type batchClosed struct {
	Status  string `json:"status"`
	Cost    Charge `json:"cost"`
	Answers int    `json:"answers"`
}

// batchRecords reads and writes these records.
type batchRecords struct{ memo Memo }

func (b batchRecords) intent(name string) (*batchIntent, error) {
	var r batchIntent
	ok, err := getRecord(b.memo, &r, "llm-job-1", "intent", name)
	if !ok {
		return nil, err
	}
	return &r, nil
}

func (b batchRecords) opened(name string) (id string, err error) {
	var r batchOpened
	_, err = getRecord(b.memo, &r, "llm-job-1", "opened", name)
	return r.ID, err
}

func (b batchRecords) closed(name string) (*batchClosed, error) {
	var r batchClosed
	ok, err := getRecord(b.memo, &r, "llm-job-1", "closed", name)
	if !ok {
		return nil, err
	}
	return &r, nil
}

func (b batchRecords) put(v any, kind, name string) error {
	return putRecord(b.memo, v, "llm-job-1", kind, name)
}

// asking finds the batch that a request waits in. Without one it returns "" and the number
// for the pointer of the next.
func (b batchRecords) asking(key [32]byte) (name string, next int, err error) {
	for n := 0; ; n++ {
		var p string
		ok, err := getRecord(b.memo, &p, "llm-job-1", "pointer", elementID(key), n)
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

func (b batchRecords) point(key [32]byte, n int, name string) error {
	return putRecord(b.memo, name, "llm-job-1", "pointer", elementID(key), n)
}
