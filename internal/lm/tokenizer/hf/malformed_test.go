package hf

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/base/alloctest"
)

// bomb is a normalizer that makes one byte a thousand.
var bomb = fmt.Sprintf(`{"type":"Replace","pattern":{"Regex":"."},"content":%q}`, strings.Repeat("a", 1000))

// inARow lists a component many times.
func inARow(one string, n int) string {
	return strings.TrimSuffix(strings.Repeat(one+",", n), ",")
}

// charsmapOf maps the letter a to text.
func charsmapOf(text string) string {
	units := make([]uint32, 512)
	// The root's children lie at its offset; a's unit has a leaf, whose value is 0.
	const root = 256
	units[0] = root << 10
	leaf := uint32(8)
	units[root^'a'] = 'a' | 1<<8 | leaf<<10
	units[(root^'a')^leaf] = 1 << 31
	var b []byte
	b = binary.LittleEndian.AppendUint32(b, uint32(4*len(units)))
	for _, u := range units {
		b = binary.LittleEndian.AppendUint32(b, u)
	}
	return base64.StdEncoding.EncodeToString(append(b, text...))
}

const textA = `{"Sequence":{"id":"A","type_id":0}}`

func doubling(n int) string {
	one := fmt.Sprintf(`{"type":"TemplateProcessing","single":[%s],"pair":[],"special_tokens":{}}`, inARow(textA, 2))
	return `{"type":"Sequence","processors":[` + inARow(one, n) + `]}`
}

// Files that make a text grow without end, or name ids that no model has, are refused
// when they are read, and the error names the file and the component.
func TestLoadRefusesLoops(t *testing.T) {
	for title, c := range map[string]struct{ text, want string }{
		"a template that repeats the text": {`"post_processor":{"type":"TemplateProcessing","single":[` + inARow(textA, 100) + `],"pair":[],"special_tokens":{}}`, "post_processor: single repeats the text"},
		"templates of templates":           {`"post_processor":` + doubling(40), "post_processor: more than 4 templates"},
		"a template's id":                  {`"post_processor":{"type":"TemplateProcessing","single":[],"pair":[],"special_tokens":{"x":{"ids":[-7]}}}`, `post_processor: special_tokens: "x" has id -7`},
		"ids of BERT's separators":         {`"post_processor":{"type":"BertProcessing","sep":["s",2000000000],"cls":["c",1]}`, "ids 2000000000 and 1"},
		"decoders in decoders":             {`"decoder":` + strings.Repeat(`{"type":"Sequence","decoders":[`, 20) + strings.Repeat(`]}`, 20), "nested"},
		"a decoder that strips nothing":    {`"decoder":{"type":"Strip","content":"","start":1000000000000,"stop":0}`, "decoder: content is empty"},
		"an expression in itself":          {`"pre_tokenizer":{"type":"Split","pattern":{"Regex":"` + strings.Repeat("(", 100000) + `"},"behavior":"Isolated"}`, "pre_tokenizer: pattern"},
		"values in values":                 {`"normalizer":` + strings.Repeat("[", 200000), "tokenizer.json"},
		"a vocabulary of all ids":          {`"model":{"type":"WordLevel","vocab":{"a":2147483647}}`, "model: vocab"},
	} {
		t.Run(title, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "tokenizer.json")
			text := "{" + c.text + "," + tinyModel + "}"
			if strings.HasPrefix(c.text, `"model"`) {
				text = "{" + c.text + "}"
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			var err error
			alloctest.Within(t, len(text), 1000, 16<<20, func() { _, err = Load(path) })
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %.300v, want one that names the file and %q", err, c.want)
			}
		})
	}
}

// What shows only with a text is an error then, before the memory is asked for.
func TestEncodeRefusesGrowth(t *testing.T) {
	for title, c := range map[string]struct{ component, want string }{
		"replacements in a row":     {`"normalizer":{"type":"Sequence","normalizers":[` + inARow(bomb, 20) + `]}`, "normalizer: "},
		"one replacement of all":    {fmt.Sprintf(`"normalizer":{"type":"Replace","pattern":{"String":"a"},"content":%q}`, strings.Repeat("a", 1<<20)), "normalizer: "},
		"a charsmap of long values": {`"normalizer":{"type":"Precompiled","precompiled_charsmap":"` + charsmapOf(strings.Repeat("b", 1<<20)) + `"}`, "normalizer: "},
		"backtracking":              {`"pre_tokenizer":{"type":"Split","pattern":{"Regex":"` + strings.Repeat("a*", 30) + `c"},"behavior":"Isolated"}`, "pre_tokenizer: "},
	} {
		t.Run(title, func(t *testing.T) {
			tok, err := Parse([]byte("{" + c.component + "," + tinyModel + "}"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tok.Encode(strings.Repeat("a", 3000), true); err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if _, err := tok.Encode("b", true); err != nil && title != "replacements in a row" {
				t.Errorf("a text that it leaves alone: %v", err)
			}
		})
	}
	tok, err := Parse([]byte(`{"decoder":{"type":"Sequence","decoders":[` + inARow(bomb, 20) + `]},` + tinyModel + "}"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tok.Decode([]int32{0, 1}, false); err == nil || !strings.HasPrefix(err.Error(), "decoder: ") {
		t.Errorf("decoding: %v", err)
	}
}

// The bounds leave real growth alone: every space of a long text becomes three bytes.
func TestGrowthOfRealTexts(t *testing.T) {
	tok, err := Parse([]byte(`{"normalizer":{"type":"Replace","pattern":{"String":" "},"content":"\u2581"},"model":{"type":"BPE","unk_token":"a","fuse_unk":true,"vocab":{"a":0},"merges":[]}}`))
	if err != nil {
		t.Fatal(err)
	}
	p := newPiece(strings.Repeat(" ", maxGrown/2))
	if err := tok.normalizer.normalize(&p); err != nil || len(p.text) != 3*maxGrown/2 {
		t.Errorf("%d bytes, %v", len(p.text), err)
	}
}

// An added token that the normalizer makes nothing of is never found, and takes no time.
func TestEmptyAddedToken(t *testing.T) {
	tok, err := Parse([]byte(`{"normalizer":{"type":"Strip","strip_left":true,"strip_right":true},"added_tokens":[{"id":3,"content":" ","normalized":true},{"id":4,"content":""}],` + tinyModel + "}"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := tok.Encode("ab ab", true)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range e.IDs {
		if id > 2 {
			t.Errorf("ids %v", e.IDs)
		}
	}
}
