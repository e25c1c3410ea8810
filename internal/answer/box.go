package answer

import "strings"

// box is one \boxed{...} or \fbox{...}: the content's byte range and the end
// of the whole command.
type box struct{ cmd, start, end, next int }

// maxBoxes bounds how many boxes are looked at, from the last one.
const maxBoxes = 64

// boxes lists the last boxes of text in order. An unclosed box ends with its line.
// A box without content, or with a placeholder from a prompt, does not count.
func boxes(text string) []box {
	var out []box
	from, n := [maxBoxes]int{}, 0
	for i := 0; ; {
		k := strings.Index(text[i:], "box")
		if k < 0 {
			break
		}
		i += k + 3
		if c := byteBefore(text, i-3); c == '\\' || c == 'f' {
			from[n%maxBoxes] = i - 3
			n++
		}
	}
	if n == 0 {
		return nil
	}
	first := 0
	if n >= maxBoxes {
		first = from[n%maxBoxes]
	}
	for i := first; i < len(text); {
		k := strings.Index(text[i:], "box")
		if k < 0 {
			break
		}
		k += i
		i = k + 3
		cmd := k
		j := k + 3
		switch {
		case k > 0 && text[k-1] == '\\' && strings.HasPrefix(text[j:], "ed"):
			j += 2
			cmd = k - 1
		case k > 1 && text[k-1] == 'f' && text[k-2] == '\\':
			cmd = k - 2
		default:
			continue
		}
		for j < len(text) && text[j] == ' ' {
			j++
		}
		if j >= len(text) {
			break
		}
		b := box{cmd: cmd}
		if text[j] != '{' {
			// \boxed 5: one number
			e := j
			for e < len(text) && (text[e] >= '0' && text[e] <= '9' || text[e] == '.' && e+1 < len(text) && text[e+1] >= '0' && text[e+1] <= '9') {
				e++
			}
			if e == j {
				continue
			}
			b.start, b.end, b.next = j, e, e
		} else {
			b.start = j + 1
			b.end, b.next = closing(text, j)
		}
		if placeholder(text[b.start:b.end]) {
			continue
		}
		out = append(out, b)
		i = max(i, b.start)
	}
	return out
}

// closing finds the brace that matches the one at i. Without one the content
// ends at the line's end, less what closes the surrounding mathematics.
func closing(text string, i int) (end, next int) {
	depth := 0
	limit := min(len(text), i+(1<<16))
	for j := i; j < limit; j++ {
		switch text[j] {
		case '\\':
			j++
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return j, j + 1
			}
		}
	}
	end = limit
	if k := strings.IndexByte(text[i:limit], '\n'); k >= 0 {
		end = i + k
	}
	next = end
	trim := strings.TrimRight(text[i+1:end], " .$\\)]")
	return i + 1 + len(trim), next
}

func placeholder(s string) bool {
	t := strings.ToLower(strings.Trim(s, " .\\"))
	switch t {
	case "", "answer", "your answer", "final answer", "...", "\\text{answer}", "ldots", "text{answer}", "_", "?":
		return true
	}
	return false
}

// joinBoxes returns the last boxed answer. Boxes that belong to one statement
// ("\boxed{2} and \boxed{3}") are joined by commas.
func joinBoxes(text string, b []box) Prediction {
	last := len(b) - 1
	for last > 0 && b[last].start < b[last-1].end { // a box inside a box
		last--
	}
	first := last
	for first > 0 && joined(text, b[first-1], b[first]) {
		first--
	}
	// The same answer boxed twice is one answer.
	parts := []string{}
	for i := first; i <= last; i++ {
		p := strings.TrimSpace(text[b[i].start:b[i].end])
		if i == first || p != parts[len(parts)-1] {
			parts = append(parts, p)
		}
	}
	p := Prediction{Answer: strings.Join(parts, ", "), Rule: "boxed", Start: b[first].start, End: b[last].end}
	if len(parts) == 1 {
		p.Start = b[last].start
		p.Answer = text[p.Start:p.End]
	}
	return p
}

func joined(text string, a, b box) bool {
	if b.cmd < a.next || b.cmd-a.next > 48 {
		return false
	}
	gap := strings.ToLower(text[a.next:b.cmd])
	if strings.Contains(gap, ". ") || strings.Contains(gap, "\n\n") || strings.Contains(gap, "=") && !strings.Contains(gap, ",") && !strings.Contains(gap, "and") {
		return false
	}
	t := strings.TrimLeft(gap, " $\\)]")
	return strings.Contains(gap, "and") || strings.Contains(gap, " or ") || strings.HasPrefix(t, ",") || strings.HasPrefix(t, ";")
}
