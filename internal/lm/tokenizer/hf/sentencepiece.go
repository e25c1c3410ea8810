package hf

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/distillflow/distillflow/internal/lm/tokenizer/pattern"
)

// Types of pieces in sentencepiece_model.proto.
const (
	pieceNormal  = 1
	pieceUnknown = 2
	pieceControl = 3
	pieceUser    = 4
	pieceUnused  = 5
	pieceByte    = 6
)

// Model types there.
const (
	spUnigram = 1
	spBPE     = 2
)

const metaSpace = "\u2581"

// LlamaField is a field of the model beyond those of the library, which it leaves to
// others. A message there makes the tokenizer work as llama.cpp's: it looks for control
// symbols and the user's in the text as it stands, each stretch between them is a text of
// its own that gets the space in front, and the tokens put before (its field 1) and after
// a text (field 2) are those named there, -1 for none.
const LlamaField = 200

// spModel is what we need of a SentencePiece ModelProto.
type spModel struct {
	pieces []string
	scores []float64
	types  []int

	modelType    int
	byteFallback bool
	unk, bos     int32
	eos          int32 // put behind a text; -1: none
	llama        bool  // see LlamaField

	charsmap     []byte
	dummyPrefix  bool
	extraSpaces  bool // runs of spaces and those at the ends are kept
	keepSpaces   bool // spaces are not escaped
	spaceAtRight bool // treat_whitespace_as_suffix
}

// ParseSentencePiece reads a SentencePiece model of type BPE or Unigram. Its ids
// are those of the library itself; control symbols are special tokens, and
// post-processing puts BOS in front if the model has one.
func ParseSentencePiece(data []byte) (*Tokenizer, error) {
	m := &spModel{modelType: spUnigram, unk: 0, bos: 1, eos: -1, dummyPrefix: true}
	if err := m.read(data); err != nil {
		return nil, fmt.Errorf("SentencePiece model: %w", err)
	}
	t, err := m.tokenizer()
	if err != nil {
		return nil, fmt.Errorf("SentencePiece model: %w", err)
	}
	t.source = data
	return t, nil
}

// fields calls f for every field of a protobuf message: v holds the value of a
// varint or fixed field, b that of a length-delimited one.
func fields(data []byte, f func(num protowire.Number, v uint64, b []byte) error) error {
	for len(data) > 0 {
		num, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return protowire.ParseError(n)
		}
		data = data[n:]
		var v uint64
		var b []byte
		switch kind {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(data)
		case protowire.Fixed32Type:
			var x uint32
			x, n = protowire.ConsumeFixed32(data)
			v = uint64(x)
		case protowire.Fixed64Type:
			v, n = protowire.ConsumeFixed64(data)
		case protowire.BytesType:
			b, n = protowire.ConsumeBytes(data)
		default:
			n = protowire.ConsumeFieldValue(num, kind, data)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		data = data[n:]
		if err := f(num, v, b); err != nil {
			return err
		}
	}
	return nil
}

func (m *spModel) read(data []byte) error {
	err := fields(data, func(num protowire.Number, _ uint64, b []byte) error {
		switch num {
		case 1:
			return m.piece(b)
		case 2:
			return m.trainer(b)
		case 3:
			return m.normalizer(b)
		case LlamaField:
			m.llama = true
			return fields(b, func(num protowire.Number, v uint64, _ []byte) error {
				switch num {
				case 1:
					m.bos = int32(v)
				case 2:
					m.eos = int32(v)
				}
				return nil
			})
		}
		return nil
	})
	if err == nil && len(m.pieces) == 0 {
		err = errors.New("it has no pieces")
	}
	return err
}

func (m *spModel) piece(data []byte) error {
	text, score, kind := "", 0.0, pieceNormal
	err := fields(data, func(num protowire.Number, v uint64, b []byte) error {
		switch num {
		case 1:
			text = string(b)
		case 2:
			score = float64(math.Float32frombits(uint32(v)))
		case 3:
			kind = int(v)
		}
		return nil
	})
	i := len(m.pieces)
	switch {
	case err != nil:
		return fmt.Errorf("piece %d: %w", i, err)
	case text == "" || !utf8.ValidString(text):
		return fmt.Errorf("piece %d is %q: must be UTF-8 and not empty", i, text)
	case kind < pieceNormal || kind > pieceByte:
		return fmt.Errorf("piece %d (%q) has type %d, which is not known", i, text, kind)
	}
	m.pieces, m.scores, m.types = append(m.pieces, text), append(m.scores, score), append(m.types, kind)
	return nil
}

func (m *spModel) trainer(data []byte) error {
	return fields(data, func(num protowire.Number, v uint64, _ []byte) error {
		switch num {
		case 3:
			m.modelType = int(v)
		case 24:
			m.spaceAtRight = v != 0
		case 35:
			m.byteFallback = v != 0
		case 40:
			m.unk = int32(v)
		case 41:
			m.bos = int32(v)
		}
		return nil
	})
}

func (m *spModel) normalizer(data []byte) error {
	// Absent fields have these values in the format.
	collapse, escape := true, true
	err := fields(data, func(num protowire.Number, v uint64, b []byte) error {
		switch num {
		case 2:
			m.charsmap = b
		case 3:
			m.dummyPrefix = v != 0
		case 4:
			collapse = v != 0
		case 5:
			escape = v != 0
		}
		return nil
	})
	m.extraSpaces, m.keepSpaces = !collapse, !escape
	return err
}

func (m *spModel) tokenizer() (*Tokenizer, error) {
	if m.spaceAtRight || m.keepSpaces {
		return nil, errors.New("spaces as suffixes, or not escaped, are not supported")
	}
	ids := make(map[string]int32, len(m.pieces))
	var added []AddedToken
	for i, p := range m.pieces {
		if _, ok := ids[p]; ok {
			return nil, fmt.Errorf("piece %d (%q) is there twice", i, p)
		}
		ids[p] = int32(i)
		if k := m.types[i]; k == pieceUnknown || k == pieceControl || k == pieceUser {
			content := p
			if m.llama && k == pieceUser {
				content = strings.ReplaceAll(p, metaSpace, " ")
			}
			added = append(added, AddedToken{ID: int32(i), Content: content, Special: k != pieceUser})
			if k == pieceUnknown {
				m.unk = int32(i)
			}
		}
	}
	if m.unk < 0 || int(m.unk) >= len(m.pieces) {
		return nil, fmt.Errorf("unk_id is %d, there are %d pieces", m.unk, len(m.pieces))
	}
	t := &Tokenizer{}
	var err error
	switch m.modelType {
	case spUnigram:
		t.model, err = newUnigram(m.pieces, m.scores, m.isText, m.unk, m.byteFallback)
	case spBPE:
		t.model, err = m.bpe(ids)
	default:
		err = fmt.Errorf("model type %d is not supported: must be 1 (Unigram) or 2 (BPE)", m.modelType)
	}
	if err != nil {
		return nil, err
	}
	if t.normalizer, err = m.normalizers(); err != nil {
		return nil, err
	}
	t.decoder = m.decoder()
	t.post = m.template()
	if err := t.setAdded(added); err != nil {
		return nil, err
	}
	if !m.llama {
		m.findSymbols(t)
	}
	return t, t.finish()
}

// template puts BOS and EOS around a text.
func (m *spModel) template() postProcessor {
	around := func(sequence int, typeID int32) (out []templateItem) {
		if m.isEnd(m.bos) {
			out = append(out, templateItem{sequence: -1, ids: []int32{m.bos}, typeID: typeID})
		}
		out = append(out, templateItem{sequence: sequence, typeID: typeID})
		if m.isEnd(m.eos) {
			out = append(out, templateItem{sequence: -1, ids: []int32{m.eos}, typeID: typeID})
		}
		return out
	}
	first, second := around(0, 0), around(1, 1)
	if len(first) == 1 {
		return nil
	}
	return &template{single: first, pair: slices.Concat(first, second)}
}

// isEnd reports whether an id can begin or end a text.
func (m *spModel) isEnd(id int32) bool {
	return id >= 0 && int(id) < len(m.pieces) && (m.llama || m.types[id] == pieceControl)
}

// findSymbols looks for the user's symbols in the normalized text, as the library
// does: what the normalizer puts at the front of a text stands before them.
func (m *spModel) findSymbols(t *Tokenizer) {
	symbols := map[string]*AddedToken{}
	control := map[string]*AddedToken{}
	for content, a := range t.byContent {
		if a.Special {
			control[content] = a
		} else {
			symbols[content] = a
		}
	}
	t.plain, t.normalized = newFinder(control), newFinder(symbols)
}

// isText reports whether a piece may stand for text it is equal to.
func (m *spModel) isText(i int) bool { return m.types[i] == pieceNormal || m.types[i] == pieceUser }

// bpe derives the merges: two pieces merge if together they are a piece, the one
// with the highest score first. Equal scores keep equal ranks, so that the
// leftmost wins, as in the library.
func (m *spModel) bpe(ids map[string]int32) (model, error) {
	if i := slices.Index(m.types, pieceUnused); i >= 0 {
		return nil, fmt.Errorf("piece %d (%q) is marked unused, which is not supported in a BPE model", i, m.pieces[i])
	}
	order := make([]int, 0, len(m.pieces))
	for i := range m.pieces {
		if m.types[i] == pieceNormal {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case m.scores[a] > m.scores[b]:
			return -1
		case m.scores[a] < m.scores[b]:
			return 1
		}
		return 0
	})
	usable := func(s string) bool {
		id, ok := ids[s]
		return ok && m.types[id] == pieceNormal
	}
	var merges [][2]string
	var ranks []int32
	rank := int32(0)
	for k, i := range order {
		if k > 0 && m.scores[i] != m.scores[order[k-1]] {
			rank++
		}
		p := m.pieces[i]
		for cut := range p {
			if cut > 0 && usable(p[:cut]) && usable(p[cut:]) {
				merges, ranks = append(merges, [2]string{p[:cut], p[cut:]}), append(ranks, rank)
			}
		}
	}
	v, err := newVocab(ids)
	if err != nil {
		return nil, err
	}
	return newBPE(v, merges, ranks, bpeSettings{unk: m.pieces[m.unk], fuseUnk: true, fallback: m.byteFallback})
}

func (m *spModel) normalizers() (normalizer, error) {
	var out normalizers
	if len(m.charsmap) > 0 {
		c, err := parseCharsmap(m.charsmap)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	if !m.extraSpaces {
		re, err := pattern.Compile(" {2,}")
		if err != nil {
			return nil, err
		}
		out = append(out, normalizeFunc(trimSpaces), &replacer{pattern: re, content: " "})
	}
	if m.dummyPrefix {
		out = append(out, normalizeFunc(func(p *piece) {
			// Only the text's own beginning gets one, not what follows a symbol.
			if p.start == 0 || m.llama {
				p.prepend(metaSpace)
			}
		}))
	}
	return append(out, &replacer{literal: " ", content: metaSpace}), nil
}

// trimSpaces removes the spaces at both ends.
func trimSpaces(p *piece) {
	from := len(p.text) - len(strings.TrimLeft(p.text, " "))
	to := max(from, len(strings.TrimRight(p.text, " ")))
	if from > 0 || to < len(p.text) {
		p.align = p.alignments()[from:to]
		p.text = p.text[from:to]
	}
}

func (m *spModel) decoder() decoder {
	out := decoders{&replacer{literal: metaSpace, content: " "}, byteFallback{}, fuse{}}
	if m.dummyPrefix {
		out = append(out, &stripDecoder{content: " ", start: 1})
	}
	return out
}
