package hf

import "encoding/json"

func parsePostProcessor(n node) (postProcessor, error) {
	if isNull(n.raw) {
		return nil, nil
	}
	kind, err := n.kind()
	if err != nil {
		return nil, err
	}
	switch kind {
	case "Sequence":
		parts, err := sequence(n, "processors", parsePostProcessor)
		if err != nil {
			return nil, err
		}
		if templates(parts) > maxTemplates {
			return nil, n.errorf("more than %d templates in a row", maxTemplates)
		}
		return postProcessors(parts), nil
	case "ByteLevel":
		c := struct {
			AddPrefixSpace bool `json:"add_prefix_space"`
			TrimOffsets    bool `json:"trim_offsets"`
		}{true, true}
		err := n.into(&c)
		return trimmer{c.TrimOffsets, c.AddPrefixSpace}, err
	case "BertProcessing", "RobertaProcessing":
		return parseAround(n, kind == "RobertaProcessing")
	case "TemplateProcessing":
		return parseTemplate(n)
	}
	return nil, n.unknown(kind)
}

// maxTemplates is how many templates may lay out what others did: each may repeat it.
const maxTemplates = 4

// templates counts the templates in processors, at any depth.
func templates(parts []postProcessor) int {
	n := 0
	for _, p := range parts {
		switch p := p.(type) {
		case *template:
			n++
		case postProcessors:
			n += templates(p)
		}
	}
	return n
}

// parseAround reads BertProcessing and RobertaProcessing, whose special tokens are
// written ["</s>", 2].
func parseAround(n node, roberta bool) (postProcessor, error) {
	c := struct {
		Sep            []json.RawMessage `json:"sep"`
		Cls            []json.RawMessage `json:"cls"`
		TrimOffsets    bool              `json:"trim_offsets"`
		AddPrefixSpace bool              `json:"add_prefix_space"`
	}{TrimOffsets: true, AddPrefixSpace: true}
	if err := n.into(&c); err != nil {
		return nil, err
	}
	var sep, cls int32
	if len(c.Sep) != 2 || len(c.Cls) != 2 || json.Unmarshal(c.Sep[1], &sep) != nil || json.Unmarshal(c.Cls[1], &cls) != nil {
		return nil, n.errorf("sep and cls must be a token and its id")
	}
	if min(sep, cls) < 0 || max(sep, cls) >= maxID {
		return nil, n.errorf("sep and cls have ids %d and %d: ids are between 0 and %d", sep, cls, maxID-1)
	}
	t := around(cls, sep, roberta)
	if roberta && c.TrimOffsets {
		t.trim = &trimmer{true, c.AddPrefixSpace}
	}
	return t, nil
}

// maxTexts is how often a template may hold the texts; real ones do once.
const maxTexts = 4

func parseTemplate(n node) (postProcessor, error) {
	type itemJSON struct {
		SpecialToken *struct {
			ID     string `json:"id"`
			TypeID int32  `json:"type_id"`
		}
		Sequence *struct {
			ID     string `json:"id"`
			TypeID int32  `json:"type_id"`
		}
	}
	var c struct {
		Single  []itemJSON `json:"single"`
		Pair    []itemJSON `json:"pair"`
		Special map[string]struct {
			IDs []int32 `json:"ids"`
		} `json:"special_tokens"`
	}
	if err := n.into(&c); err != nil {
		return nil, err
	}
	read := func(field string, items []itemJSON) ([]templateItem, error) {
		var out []templateItem
		texts := 0
		for i, it := range items {
			if it.Sequence != nil {
				if texts++; texts > maxTexts {
					return nil, n.errorf("%s repeats the text more than %d times", field, maxTexts)
				}
			}
			switch {
			case it.SpecialToken != nil:
				s, ok := c.Special[it.SpecialToken.ID]
				if !ok {
					return nil, n.errorf("%s[%d]: special token %q is not listed in special_tokens", field, i, it.SpecialToken.ID)
				}
				out = append(out, templateItem{sequence: -1, ids: s.IDs, typeID: it.SpecialToken.TypeID})
			case it.Sequence != nil && (it.Sequence.ID == "A" || it.Sequence.ID == "B"):
				out = append(out, templateItem{sequence: int(it.Sequence.ID[0] - 'A'), typeID: it.Sequence.TypeID})
			default:
				return nil, n.errorf("%s[%d] must be SpecialToken, or Sequence A or B", field, i)
			}
		}
		return out, nil
	}
	for name, s := range c.Special {
		for _, id := range s.IDs {
			if id < 0 || id >= maxID {
				return nil, n.errorf("special_tokens: %q has id %d: ids are between 0 and %d", name, id, maxID-1)
			}
		}
	}
	t := &template{}
	var err error
	if t.single, err = read("single", c.Single); err != nil {
		return nil, err
	}
	if t.pair, err = read("pair", c.Pair); err != nil {
		return nil, err
	}
	return t, nil
}
