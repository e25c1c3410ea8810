package store

// MemoRecords packs single values of a memo for other places, in the form that the
// memo's own files have. Methods are safe for several goroutines.
type MemoRecords struct{ codec *memoCodec }

// NewMemoRecords makes one. It holds nothing that needs closing.
func NewMemoRecords() (*MemoRecords, error) {
	codec, err := newMemoCodec()
	return &MemoRecords{codec}, err
}

// Pack gives the record of a value.
func (r *MemoRecords) Pack(key [32]byte, value []byte) []byte { return r.codec.encode(key, value) }

// Unpack gives the value of a record of key; [ErrCorrupt] for anything else.
func (r *MemoRecords) Unpack(key [32]byte, b []byte) ([]byte, error) {
	rec, ok := parseMemoHead(b)
	if !ok || rec.key != key || rec.size() != int64(len(b)) {
		return nil, ErrCorrupt
	}
	value, ok := r.codec.decode(rec, b)
	if !ok {
		return nil, ErrCorrupt
	}
	return value, nil
}
