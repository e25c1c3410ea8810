package main

import (
	"fmt"
	"strconv"
	"time"
)

// age reads a length of time: what Go reads (90m, 36h), and whole days and
// weeks (30d, 2w), which the ages of results are told in. It is never negative.
func age(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil && s != "" {
		n, nerr := strconv.Atoi(s[:len(s)-1])
		unit := map[byte]time.Duration{'d': 24 * time.Hour, 'w': 7 * 24 * time.Hour}[s[len(s)-1]]
		if nerr == nil && unit != 0 && n <= int(1<<63-1)/int(unit) {
			d, err = time.Duration(n)*unit, nil
		}
	}
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is no length of time; write 36h, 30d or 2w", s)
	}
	return d, nil
}
