package llm

import (
	"crypto/rand"
	"encoding/hex"
	"maps"
	"slices"
	"sync"
)

// Ledger is the durable account of one piece of work, named by its scope. It lies in the
// memo, beside the answers that the money went into, as three kinds of records:
//
//   - a session for each process that worked on the scope, with the totals of all before;
//   - a reservation for each call, durable before the call is sent;
//   - now and then a checkpoint, with the totals of the calls settled so far.
//
// A reservation without a settlement was cut off by a crash. If its answer is in the memo
// it costs what that answer says; otherwise it is lost and counts with its worst case.
// So the account is never below what the provider may bill.
//
// A batch (see [Batches]) has one reservation, which outlives its process: it is held until the
// batch's own record says that it was collected and what it cost.
type Ledger struct {
	memo  Memo
	scope string
	nonce string

	mu      sync.Mutex
	next    int            // number of the next reservation
	open    map[int]Charge // reservations of this process without a settlement
	done    int            // every reservation below is settled
	ahead   map[int]bool   // and so are these above
	total   Totals         // Open is computed from open
	unsaved int            // settlements since the last checkpoint
	points  int            // checkpoints written
	batches map[string]int // batches of this process: the numbers of their reservations
	held    map[string]Charge
}

// Totals is what a ledger adds up to.
type Totals struct {
	Settled Charge `json:"settled"` // calls that ended, with what they cost
	Lost    Charge `json:"lost"`    // calls cut off by a crash, with their worst case
	Open    Charge `json:"open"`    // calls in flight, with their worst case
	Held    Charge `json:"held"`    // batches that earlier processes submitted and nobody has collected, with their worst case
	Answers int    `json:"answers"` // settled calls whose answer stands in the memo
}

const (
	// checkpointEvery bounds how many answers are read again after a crash.
	checkpointEvery = 256
	// maxHoles is how many reservations in a row may be missing though later ones exist:
	// their writers run concurrently, no more of them than the greatest concurrency.
	maxHoles = 4096
)

type sessionRecord struct {
	Nonce  string            `json:"nonce"`
	Before Totals            `json:"before"`
	Held   map[string]Charge `json:"held,omitempty"` // batches by name
}

type reservationRecord struct {
	Key   string `json:"key"` // hexadecimal memo key of the answer
	Worst Charge `json:"worst"`
	Price *Price `json:"price,omitempty"`
	Batch string `json:"job,omitempty"` // name of a batch, in place of a key
}

type checkpointRecord struct {
	Total Totals            `json:"total"`
	Done  int               `json:"done"`
	Ahead []int             `json:"ahead,omitempty"`
	Held  map[string]Charge `json:"held,omitempty"` // of the session's, those still held
}

// OpenLedger reads what earlier processes left of a scope, settles what a crash cut off,
// and begins a session of this process. One process at a time works on a scope; the caller
// sees to that.
func OpenLedger(memo Memo, scope string) (*Ledger, error) {
	l := &Ledger{memo: memo, scope: scope, open: map[int]Charge{}, ahead: map[int]bool{}, batches: map[string]int{}, held: map[string]Charge{}}
	last, n := sessionRecord{}, 0
	for ; ; n++ {
		var s sessionRecord
		ok, err := l.get(&s, "session", n)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		last = s
	}
	if n > 0 {
		var err error
		if l.total, err = l.recover(last); err != nil {
			return nil, err
		}
	}
	var r [8]byte
	_, _ = rand.Read(r[:]) // never fails
	l.nonce = hex.EncodeToString(r[:])
	return l, l.put(sessionRecord{Nonce: l.nonce, Before: l.total, Held: l.held}, "session", n)
}

// recover adds up a session that has ended, however it ended.
func (l *Ledger) recover(s sessionRecord) (Totals, error) {
	cp := checkpointRecord{Total: s.Before, Held: s.Held}
	for j := 0; ; j++ {
		var c checkpointRecord
		ok, err := l.get(&c, s.Nonce, "checkpoint", j)
		if err != nil {
			return Totals{}, err
		}
		if !ok {
			break
		}
		cp = c
	}
	total := cp.Total
	total.Open, total.Held = Charge{}, Charge{}
	settled := map[int]bool{}
	for _, i := range cp.Ahead {
		settled[i] = true
	}
	// The last unsettled reservation of a key is the one that its answer settles.
	var left []reservationRecord
	for i, holes := cp.Done, 0; holes <= maxHoles; i++ {
		if settled[i] {
			holes = 0
			continue
		}
		var r reservationRecord
		ok, err := l.get(&r, s.Nonce, "reservation", i)
		if err != nil {
			return Totals{}, err
		}
		if !ok {
			holes++
			continue
		}
		holes = 0
		if r.Batch != "" {
			if cp.Held == nil {
				cp.Held = map[string]Charge{}
			}
			cp.Held[r.Batch] = r.Worst
			continue
		}
		left = append(left, r)
	}
	if err := l.resolve(cp.Held, &total); err != nil {
		return Totals{}, err
	}
	seen := map[string]bool{}
	for _, r := range slices.Backward(left) {
		cost, ok, err := l.answerCost(r)
		if err != nil {
			return Totals{}, err
		}
		if ok && !seen[r.Key] {
			seen[r.Key] = true
			total.Settled = total.Settled.plus(cost, 1)
			total.Answers++
			continue
		}
		total.Lost = total.Lost.plus(r.Worst, 1)
	}
	return total, nil
}

func (l *Ledger) answerCost(r reservationRecord) (Charge, bool, error) {
	raw, err := hex.DecodeString(r.Key)
	if err != nil || len(raw) != 32 {
		return Charge{}, false, nil
	}
	val, ok, err := l.memo.Get([32]byte(raw))
	if err != nil || !ok {
		return Charge{}, false, err
	}
	e, ok := decodeMemo(val)
	if !ok {
		return Charge{}, false, nil
	}
	return actual(r.Worst, r.Price, &e.Response, nil), true, nil
}

// reserve records a call that is about to be made.
func (l *Ledger) reserve(key [32]byte, worst Charge, price *Price) (int, error) {
	l.mu.Lock()
	id := l.next
	l.next++
	l.open[id] = worst
	l.mu.Unlock()
	return id, l.put(reservationRecord{Key: hex.EncodeToString(key[:]), Worst: worst, Price: price}, l.nonce, "reservation", id)
}

// settle replaces a reservation. It becomes durable with the next checkpoint; until then
// a crash finds the answer in the memo, or counts the worst case.
func (l *Ledger) settle(id int, cost Charge, answered bool) error {
	l.mu.Lock()
	l.retire(id)
	l.total.Settled = l.total.Settled.plus(cost, 1)
	if answered {
		l.total.Answers++
	}
	l.unsaved++
	due := l.unsaved >= checkpointEvery
	l.mu.Unlock()
	if !due {
		return nil
	}
	return l.checkpoint()
}

// retire takes a reservation off the open ones; the caller holds mu.
func (l *Ledger) retire(id int) {
	delete(l.open, id)
	l.ahead[id] = true
	for l.ahead[l.done] {
		delete(l.ahead, l.done)
		l.done++
	}
}

func (l *Ledger) checkpoint() error {
	l.mu.Lock()
	if l.unsaved == 0 {
		l.mu.Unlock()
		return nil
	}
	c := checkpointRecord{Total: l.total, Done: l.done, Held: maps.Clone(l.held)}
	for i := range l.ahead {
		c.Ahead = append(c.Ahead, i)
	}
	n := l.points
	l.points++
	l.unsaved = 0
	l.mu.Unlock()
	slices.Sort(c.Ahead)
	return l.put(c, l.nonce, "checkpoint", n)
}

// Close records what is settled. The ledger needs no other closing.
func (l *Ledger) Close() error {
	if l == nil {
		return nil
	}
	return l.checkpoint()
}

// Totals adds up this process and all before it.
func (l *Ledger) Totals() Totals {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.total
	t.Open = Charge{}
	for _, c := range l.open {
		t.Open = t.Open.plus(c, 1)
	}
	t.Held = Charge{}
	for _, c := range l.held {
		t.Held = t.Held.plus(c, 1)
	}
	return t
}

func (l *Ledger) put(v any, parts ...any) error {
	return putRecord(l.memo, v, append([]any{"llm-ledger-1", l.scope}, parts...)...)
}

// get reports false for a record that is missing or cannot be read.
func (l *Ledger) get(v any, parts ...any) (bool, error) {
	return getRecord(l.memo, v, append([]any{"llm-ledger-1", l.scope}, parts...)...)
}
