package mathverify

import (
	"regexp"
	"strings"
	"unicode"
)

// What surrounds an answer without being part of it, as text.

// zeros are the digits zero of the scripts whose digits count as digits.
const zeros = "０٠۰०০੦૦๐"

// plainDigits writes digits and brackets of other scripts as ASCII.
func plainDigits(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r > unicode.MaxLatin1 }) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		for _, z := range zeros {
			if r >= z && r < z+10 {
				return '0' + r - z
			}
		}
		if r > '！' && r < '～' && !unicode.IsLetter(r) { // full-width ASCII
			return r - '！' + '!'
		}
		return r
	}, s)
}

var (
	// domain is "for all x in Z" in the middle of an answer.
	domain = regexp.MustCompile(`(?i)(?:\\text\{\s*)?for (?:all|any|every|each)\s*\}?\s*\$?[a-z](?:_\{?\w\}?)?\s*(?:\\in\b|∈)\s*\\mathbb\s*\{?\s*[A-Z]\s*\}?(?:\^?\{?[+*]\}?)?`)
	// free tells at the end that a letter is any number: "for any constant c",
	// "where k is an integer".
	free = regexp.MustCompile(`(?i)(?:\\q?quad|[\s,;(])*(?:\\text\{\s*|\\mathrm\{\s*)?\(?(?:(?:for|with) (?:all|any|every|each|some|an|a)\b|where\b[^,;=<>]*\bis (?:an?|any)\b)(?: (?:arbitrary|positive|non-?negative|nonzero|fixed|real|rational|complex|whole|natural))* ?(?:constants?|integers?|reals?|numbers?)\b[^,;=<>\d]*$`)
)

// dropQualifiers takes away what says only which values a letter may have.
func dropQualifiers(s string) string {
	if !strings.Contains(s, "for ") && !strings.Contains(s, "where ") && !strings.Contains(s, "with ") || len(s) > 1000 {
		return s
	}
	for _, r := range []*regexp.Regexp{domain, free} {
		if t := r.ReplaceAllString(s, ""); strings.Trim(t, " ,") != "" {
			s = t
		}
	}
	return s
}

// boxList separates several boxes in one answer by commas.
func boxList(s string) string {
	if strings.Count(s, `\boxed`) < 2 {
		return s
	}
	parts := strings.Split(s, `\boxed`)
	for i := range parts[:len(parts)-1] {
		t := strings.TrimRight(parts[i], " $\n&+")
		if strings.HasSuffix(t, "}") {
			parts[i] = t + ", "
		}
	}
	return strings.Join(parts, `\boxed`)
}
