// Package secret keeps keys and passwords out of what is written down or shown: it knows
// them by the names of variables and fields, by their place in addresses, and by their
// values in the user's environment.
package secret

import (
	"cmp"
	"errors"
	"io"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
)

const words = `key|apikey|pat|token|secret|password|passwd|passphrase|credentials?`

var (
	name   = regexp.MustCompile(`(?i)(^|[_-])(` + words + `)$`)
	inJSON = regexp.MustCompile(`(?i)("(?:[^"\\]*[_-])?(?:` + words + `)"\s*:\s*)"(?:[^"\\]|\\.)+"`)
	// The second kind is a password with a blank or a slash, where a port would be.
	userInURL = regexp.MustCompile(`(://)(?:[^/@\s"]+|[^/@\s":]*:[0-9]*[^0-9/@\s"][^@"\n]*)@`)
	inQuery   = regexp.MustCompile(`(?i)((?:[?&]|\\u0026)(?:[\w.-]*[_-])?(?:` + words + `)=)[^&#\s"\\]+`) // JSON may write & as \u0026
)

// Mask stands where a secret stood.
const Mask = "***"

// Name reports whether a variable or field of this name holds a secret: one that ends in
// key, token, secret, password, credentials or their like, as a word of its own.
func Name(s string) bool { return name.MatchString(s) }

// InURL reports whether an address holds a user's name or password, or a parameter with
// the name of a secret. One that cannot be read, and has the mark behind a password, does: a
// password with a blank or a slash is why.
func InURL(s string) bool {
	if userInURL.MatchString(s) || inQuery.MatchString(s) {
		return true
	}
	_, err := url.Parse(s)
	return err != nil && strings.Contains(s, "@")
}

// MaskURLs hides in a text the user part of addresses, and those of their parameters that
// have names of secrets.
func MaskURLs(s string) string {
	return inQuery.ReplaceAllString(userInURL.ReplaceAllString(s, "${1}"+Mask+"@"), "${1}"+Mask)
}

// MaskJSON hides the texts of fields with names of secrets in JSON, and what MaskURLs hides.
func MaskJSON(b []byte) []byte {
	return []byte(MaskURLs(string(inJSON.ReplaceAll(b, []byte(`${1}"`+Mask+`"`)))))
}

// The least lengths of values that are taken for secrets: shorter ones are words such as
// "none", and would be found in any text. What a recipe may not hold at all is told with
// more care.
const (
	leastHidden  = 8
	leastRefused = 16
)

// Known are the secrets of an environment by their values. The nil *Known knows none.
type Known struct {
	hide   *strings.Replacer
	values []variable
}

type variable struct{ name, value string }

// FromEnv takes the secrets from an environment, a list of NAME=VALUE as [os.Environ]
// gives it: the values of variables with names of secrets.
func FromEnv(environ []string) *Known {
	k := &Known{}
	for _, v := range environ {
		n, value, _ := strings.Cut(v, "=")
		if value = strings.TrimSpace(value); Name(n) && len(value) >= leastHidden {
			k.values = append(k.values, variable{n, value})
		}
	}
	// A value that holds another one goes first.
	slices.SortFunc(k.values, func(a, b variable) int {
		return cmp.Or(cmp.Compare(len(b.value), len(a.value)), cmp.Compare(a.name, b.name))
	})
	var pairs []string
	for _, v := range k.values {
		pairs = append(pairs, v.value, "["+v.name+"]")
	}
	k.hide = strings.NewReplacer(pairs...)
	return k
}

// Hide puts the names of variables in place of their values, and masks addresses.
func (k *Known) Hide(s string) string {
	if k != nil && len(k.values) > 0 {
		s = k.hide.Replace(s)
	}
	if strings.Contains(s, "://") {
		s = MaskURLs(s)
	}
	return s
}

// Empty reports whether no secrets are known.
func (k *Known) Empty() bool { return k == nil || len(k.values) == 0 }

// InFile names the variable whose value a file holds, as In does for a text.
func (k *Known) InFile(path string) (string, error) {
	if k.Empty() {
		return "", nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	longest := len(k.values[0].value)
	buf := make([]byte, max(1<<20, 4*longest))
	kept := 0 // bytes of the last part: a value may lie on both sides of a cut
	for {
		n, err := io.ReadFull(f, buf[kept:])
		n += kept
		if name := k.In(string(buf[:n])); name != "" {
			return name, nil
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return "", nil
		case err != nil:
			return "", err
		}
		kept = copy(buf, buf[n-longest:n])
	}
}

// In names the variable whose value a text holds; "" if it holds none. Values that may be
// ordinary words do not count.
func (k *Known) In(s string) string {
	if k == nil {
		return ""
	}
	for _, v := range k.values {
		if len(v.value) >= leastRefused && strings.Contains(s, v.value) {
			return v.name
		}
	}
	return ""
}
