package kube

import (
	"slices"
	"strconv"
	"testing"
)

// A job's list of indexes has those that it names, and no others.
func FuzzInIndexes(f *testing.F) {
	for _, s := range []string{"", "0", "1,3-5", "5-3", "-1", "1-", ",", "0-9223372036854775807", "1,3-5,7,x", "00"} {
		f.Add(s, []byte{1, 3, 4, 5})
	}
	f.Fuzz(func(t *testing.T, text string, has []byte) {
		inIndexes(text, 3) // whatever it is
		slices.Sort(has)
		has = slices.Compact(has)
		list := ""
		for i := 0; i < len(has); {
			j := i
			for j+1 < len(has) && has[j+1] == has[j]+1 {
				j++
			}
			if list != "" {
				list += ","
			}
			list += strconv.Itoa(int(has[i]))
			if j > i {
				list += "-" + strconv.Itoa(int(has[j]))
			}
			i = j + 1
		}
		for i := range 256 {
			if inIndexes(list, i) != slices.Contains(has, byte(i)) {
				t.Errorf("%q and %d", list, i)
			}
		}
	})
}
