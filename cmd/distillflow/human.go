package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// sizeText is a number of bytes for people, in powers of 1024: "1.2 MiB".
func sizeText(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), -1
	for f >= 1024 && unit < 4 {
		f, unit = f/1024, unit+1
	}
	if f >= 1023.95 && unit < 4 { // would read 1024.0
		f, unit = f/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGTP"[unit])
}

// plural is a count with its noun: "1 blob", "2 blobs".
func plural(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "y"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(noun, "y"))
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

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
