package sampledata

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	usDate   = "01/02/2006"
	longDate = "January 2, 2006"
)

// dateRow follows BIG-bench date understanding: six dates to choose from.
func dateRow(r *rand.Rand, i int) row {
	day := time.Date(between(r, 1931, 2039), time.Month(between(r, 1, 12)), between(r, 1, 28), 0, 0, 0, 0, time.UTC)
	n := between(r, 2, 29)
	var story string
	var today time.Time
	switch i % 6 {
	case 0:
		story = fmt.Sprintf("Nora planted a tree on %s. That was %d days ago.", day.Format(longDate), n)
		today = day.AddDate(0, 0, n)
	case 1:
		story = fmt.Sprintf("The fair opens on %s, which is in %d days.", day.Format(longDate), n)
		today = day.AddDate(0, 0, -n)
	case 2:
		n = n%7 + 2
		story = fmt.Sprintf("It is %d weeks after %s.", n, day.Format(longDate))
		today = day.AddDate(0, 0, 7*n)
	case 3:
		story = fmt.Sprintf("Tomas moved house on %s. Today he has lived there for exactly %d years.", day.Format(longDate), n)
		today = day.AddDate(n, 0, 0)
	case 4:
		story = fmt.Sprintf("Yesterday was %s.", day.Format(longDate))
		today = day.AddDate(0, 0, 1)
	default:
		n = n%5 + 2
		story = fmt.Sprintf("The library book is due on %s, in %d months from today.", day.Format(longDate), n)
		today = day.AddDate(0, -n, 0)
	}
	asked, offset := "today", 0
	switch i / 6 % 4 {
	case 1:
		asked, offset = "tomorrow", 1
	case 2:
		asked, offset = "one week from today", 7
	case 3:
		asked, offset = "10 days ago", -10
	}
	right := today.AddDate(0, 0, offset)
	wrong := []string{}
	for len(wrong) < 5 {
		w := right
		switch r.IntN(4) {
		case 0:
			w = w.AddDate(0, 0, between(r, -9, 9))
		case 1:
			w = w.AddDate(0, between(r, -3, 3), 0)
		case 2:
			w = w.AddDate(between(r, -2, 2), 0, 0)
		default:
			w = today.AddDate(0, 0, -offset)
		}
		if s := w.Format(usDate); !w.Equal(right) && !slices.Contains(wrong, s) {
			wrong = append(wrong, s)
		}
	}
	q := fmt.Sprintf("%s What is the date %s in MM/DD/YYYY?", story, asked)
	o, key := shuffled(r, right.Format(usDate), wrong)
	return newRow(q).with("question", q).with("choices", o).with("answerKey", key)
}
