package llm

import (
	"maps"
	"slices"
)

// resolve settles the batches that have been collected, by whichever process, keeps the
// others held, and forgets those that were never submitted.
func (l *Ledger) resolve(held map[string]Charge, total *Totals) error {
	book := batchRecords{l.memo}
	for name, worst := range held {
		done, err := book.closed(name)
		if err != nil {
			return err
		}
		if done != nil {
			total.Settled = total.Settled.plus(done.Cost, 1)
			total.Answers += done.Answers
			continue
		}
		in, err := book.intent(name)
		if err != nil {
			return err
		}
		if in != nil {
			l.held[name] = worst
		}
	}
	return nil
}

// heldBatches names the batches of this scope that earlier processes submitted.
func (l *Ledger) heldBatches() []string {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.held))
}

// Held is the number of batches that earlier processes submitted for this work and that
// nobody has collected.
func (l *Ledger) Held() int { return len(l.heldBatches()) }

// reserveBatch records a batch that is about to be submitted.
func (l *Ledger) reserveBatch(name string, worst Charge, price *Price) error {
	l.mu.Lock()
	id := l.next
	l.next++
	l.open[id] = worst
	l.batches[name] = id
	l.mu.Unlock()
	return l.put(reservationRecord{Batch: name, Worst: worst, Price: price}, l.nonce, "reservation", id)
}

// settleBatch replaces a batch's reservation, if it has one in this scope, by what it cost. It
// is durable when it returns.
func (l *Ledger) settleBatch(name string, cost Charge, answers int) error {
	l.mu.Lock()
	id, own := l.batches[name]
	_, held := l.held[name]
	if !own && !held {
		l.mu.Unlock()
		return nil
	}
	if own {
		l.retire(id)
		delete(l.batches, name)
	}
	delete(l.held, name)
	l.total.Settled = l.total.Settled.plus(cost, 1)
	l.total.Answers += answers
	l.unsaved++
	l.mu.Unlock()
	return l.checkpoint()
}

// fitsBatch reports a *BudgetError if a batch of that worst case has no room.
func (b *Budget) fitsBatch(worst Charge) error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.over(worst)
}

// reserveBatch holds a batch's worst case. It never waits: what stands in the way may take a
// day.
func (b *Budget) reserveBatch(name string, worst Charge, price *Price) error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	err := b.over(worst)
	if err == nil {
		b.batches = b.batches.plus(worst, 1)
	}
	b.mu.Unlock()
	if err == nil && b.ledger != nil {
		if err = b.ledger.reserveBatch(name, worst, price); err != nil {
			b.mu.Lock()
			b.batches = b.batches.plus(worst, -1)
			b.mu.Unlock()
		}
	}
	return err
}

// settleBatch replaces a batch's reservation by what it cost. own says that the reservation is
// one of this budget.
func (b *Budget) settleBatch(name string, worst, cost Charge, answers int, own bool) error {
	if b == nil || !own {
		return nil
	}
	b.mu.Lock()
	b.batches = b.batches.plus(worst, -1)
	b.spent = b.spent.plus(cost, 1)
	close(b.settled)
	b.settled = make(chan struct{})
	b.mu.Unlock()
	if b.ledger == nil {
		return nil
	}
	return b.ledger.settleBatch(name, cost, answers)
}

// heldBatches names the batches whose reservations this budget took over from earlier processes.
func (b *Budget) heldBatches() []string {
	if b == nil {
		return nil
	}
	return b.ledger.heldBatches()
}
