package device

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// VisibleVar is CUDA's list of the GPUs that a process may see.
const VisibleVar = "CUDA_VISIBLE_DEVICES"

// List is a setting that may name several devices.
type List []string

// ParseList reads a device or a list of them: "cuda:1", "cuda:0, cuda:1" or
// "[cuda:0, cuda:1]". An empty text is the list of auto alone.
func ParseList(text string) (List, error) {
	inner := strings.TrimSpace(text)
	if in, ok := strings.CutPrefix(inner, "["); ok {
		if inner, ok = strings.CutSuffix(in, "]"); !ok {
			return nil, fmt.Errorf("devices %q: the list is not closed by ]", text)
		}
	}
	if strings.TrimSpace(inner) == "" {
		return List{Auto}, nil
	}
	var l List
	for name := range strings.SplitSeq(inner, ",") {
		name = strings.Trim(strings.TrimSpace(name), `"'`)
		if name == "" {
			return nil, fmt.Errorf("devices %q: a name is missing between commas", text)
		}
		if err := Valid(name); err != nil {
			return nil, err
		}
		name = canonical(name)
		if slices.Contains(l, name) {
			return nil, fmt.Errorf("devices %q: %s is listed twice", text, name)
		}
		l = append(l, name)
	}
	return l, nil
}

// For is the device of the i-th of several students: they take the devices in turn.
func (l List) For(i int) string {
	if len(l) == 0 {
		return Auto
	}
	return l[i%len(l)]
}

// canonical gives two names of one device the same text.
func canonical(name string) string {
	switch kind, index, colon := strings.Cut(name, ":"); {
	case name == "":
		return Auto
	case kind != CUDA:
		return name
	case !colon:
		return CUDA + ":0"
	default:
		if n, err := strconv.Atoi(index); err == nil {
			return CUDA + ":" + strconv.Itoa(n)
		}
		return name
	}
}

// visible lists the GPUs that CUDA_VISIBLE_DEVICES leaves, as it names them. limited
// is false where the variable is not set. As CUDA does, it stops at the first name
// that cannot be a GPU, such as -1, so that an empty variable leaves none.
func visible(lookup func(string) (string, bool)) (ids []string, limited bool) {
	text, ok := lookup(VisibleVar)
	if !ok {
		return nil, false
	}
	for id := range strings.SplitSeq(text, ",") {
		id = strings.TrimSpace(id)
		if n, err := strconv.Atoi(id); id == "" || err == nil && n < 0 {
			break
		}
		ids = append(ids, id)
	}
	return ids, true
}

// checkVisible says why the GPU numbered index cannot be seen.
func checkVisible(index int, lookup func(string) (string, bool)) error {
	ids, limited := visible(lookup)
	switch {
	case !limited || index < len(ids):
		return nil
	case len(ids) == 0:
		return fmt.Errorf("%s is set and leaves no GPU: unset it, or list GPUs in it", VisibleVar)
	default:
		return fmt.Errorf("%s leaves %d of the GPUs (%s), numbered from %s:0 to %s:%d here", VisibleVar, len(ids), strings.Join(ids, ", "), CUDA, CUDA, len(ids)-1)
	}
}

// Within turns a device name as a stage means it, which may have some GPUs to
// itself, into one that [Open] understands in this process: with the GPUs 2 and 3
// as CUDA_VISIBLE_DEVICES names them, cuda:1 is the GPU 3. Without GPUs, and for
// other kinds of device, the name stays as it is.
func Within(name string, gpus []string) (string, error) {
	return within(name, gpus, os.LookupEnv)
}

func within(name string, gpus []string, lookup func(string) (string, bool)) (string, error) {
	if err := Valid(name); err != nil {
		return "", err
	}
	if len(gpus) > 0 && resolve(name) == CUDA+":0" {
		name = CUDA + ":0"
	}
	name = canonical(name)
	index, ok := strings.CutPrefix(name, CUDA+":")
	if !ok || len(gpus) == 0 {
		return name, nil
	}
	n, err := strconv.Atoi(index)
	if err != nil {
		return "", err
	}
	if n >= len(gpus) {
		return "", fmt.Errorf("device %q: the stage has %d of the GPUs (resources: {gpus: N} asks for N)", name, len(gpus))
	}
	if ids, limited := visible(lookup); limited {
		at := slices.Index(ids, gpus[n])
		if at < 0 {
			return "", fmt.Errorf("device %q: the stage has GPU %s, which %s=%s hides", name, gpus[n], VisibleVar, strings.Join(ids, ","))
		}
		return CUDA + ":" + strconv.Itoa(at), nil
	}
	if _, err := strconv.Atoi(gpus[n]); err != nil {
		return "", fmt.Errorf("device %q: GPU %s has no number; set %s to the GPUs to use", name, gpus[n], VisibleVar)
	}
	return CUDA + ":" + gpus[n], nil
}
