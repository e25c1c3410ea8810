package store

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
)

// FuzzDecodeAction reads bytes as an action's file, and as the parts of one whose
// checksum is right.
func FuzzDecodeAction(f *testing.F) {
	a := &Action{Key: testKey(1), Stage: "s", Type: "scan", Version: 2, Outputs: map[string]Output{"rows": {Kind: KindRows, Digest: DigestBytes(nil)}},
		Meta: Meta{Started: time.Unix(1, 0).UTC(), Stats: map[string]float64{"usd": 1}}, Preimage: json.RawMessage(`{"a":[1]}`)}
	good, err := a.encode()
	if err != nil {
		f.Fatal(err)
	}
	var parts actionFile
	if err := json.Unmarshal(good, &parts); err != nil {
		f.Fatal(err)
	}
	f.Add(good, []byte(nil))
	f.Add([]byte(parts.Action), []byte(parts.Preimage))
	f.Add([]byte(`{"key":"`+testKey(1)+`","outputs":{"x":null},"meta":null}`), []byte(`null`))
	f.Fuzz(func(t *testing.T, head, preimage []byte) {
		b := head
		if len(preimage) > 0 && json.Valid(head) && json.Valid(preimage) {
			h, _ := compactJSON(head)
			p, _ := compactJSON(preimage)
			b, _ = marshalPlain(actionFile{Sum: partsSum(h, p), Action: h, Preimage: p})
		}
		a, err := decodeAction(testKey(1), b)
		if err != nil {
			return
		}
		once, err := a.encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeAction(testKey(1), once)
		if err != nil {
			t.Fatalf("own encoding refused: %v\n%s", err, once)
		}
		if twice, _ := again.encode(); !bytes.Equal(once, twice) {
			t.Fatalf("unstable:\n%s\n%s", once, twice)
		}
	})
}

// FuzzStatLine reads bytes as a line of the stat cache, and as a line whose checksum is right.
func FuzzStatLine(f *testing.F) {
	f.Add(statLine(nil, "/a\tb\n\u00e9", statEntry{FileState{id: fileID{size: 1, mtime: -2, inode: 1 << 63}, ctime: 4}, DigestBytes(nil)}), false)
	f.Add([]byte("\"a\"\t1\t2\t3\t4\tsha256:0"), true)
	f.Fuzz(func(t *testing.T, b []byte, sum bool) {
		if sum {
			b = appendLine(nil, b)
		}
		path, e, ok := parseStatLine(b)
		if !ok {
			return
		}
		path2, e2, ok := parseStatLine(statLine(nil, path, e))
		if !ok || path2 != path || e2 != e {
			t.Fatalf("%q %+v became %q %+v, %v", path, e, path2, e2, ok)
		}
	})
}

// A field holds what was put in, and nothing else passes as a line.
func FuzzCheckedLine(f *testing.F) {
	f.Add("a\tb\n", []byte(`{"x":1}`), 3)
	f.Add("", []byte(nil), 0)
	f.Fuzz(func(t *testing.T, text string, raw []byte, flip int) {
		if bytes.ContainsAny(raw, "\t\n") {
			return
		}
		line := appendLine(nil, quoteField(text), raw)
		fields, ok := splitLine(line, 2)
		if !ok || !bytes.Equal(fields[1], raw) {
			t.Fatalf("%q gives %q", line, fields)
		}
		if got, ok := unquoteField(fields[0]); !ok || got != string([]rune(text)) {
			t.Fatalf("%q became %q", text, got)
		}
		if n := len(line) - 1; n > 0 {
			bad := bytes.Clone(line)
			bad[uint(flip)%uint(n)] ^= 1
			if _, ok := splitLine(bad, 2); ok {
				t.Fatalf("%q passes", bad)
			}
		}
	})
}
