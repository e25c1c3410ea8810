package store

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"
	"sync"
)

// Digest is the content address of a blob in its text form,
// "sha256:" followed by 64 lower-case hexadecimal digits. The zero value is not a
// digest.
type Digest string

const digestPrefix = "sha256:"

// ParseDigest checks the text form of a digest.
func ParseDigest(s string) (Digest, error) {
	d := Digest(s)
	if !d.Valid() {
		return "", fmt.Errorf("store: %q is not a digest: want sha256: and 64 hexadecimal digits", s)
	}
	return d, nil
}

// Valid reports whether d has the text form of a digest.
func (d Digest) Valid() bool {
	s, ok := strings.CutPrefix(string(d), digestPrefix)
	return ok && len(s) == 2*sha256.Size && isLowerHex(s)
}

// Hex returns the 64 hexadecimal digits of d, or "" when d is not valid.
func (d Digest) Hex() string {
	if !d.Valid() {
		return ""
	}
	return string(d[len(digestPrefix):])
}

// String returns the text form.
func (d Digest) String() string { return string(d) }

// DigestBytes returns the digest of b.
func DigestBytes(b []byte) Digest {
	sum := sha256.Sum256(b)
	return Digest(digestPrefix + hex.EncodeToString(sum[:]))
}

func digestOf(h hash.Hash) Digest {
	return Digest(digestPrefix + hex.EncodeToString(h.Sum(nil)))
}

func isLowerHex(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// copyBuffer is large enough that hashing is bound by SHA-256, not by calls.
const copyBuffer = 256 << 10

// digestFile hashes the file at path. It returns the number of bytes hashed.
func digestFile(path string) (Digest, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	return digestReader(f)
}

// copyBuffers are shared: a run publishes very many small files, and a buffer
// for each would be most of what it allocates.
var copyBuffers = sync.Pool{New: func() any { return new([copyBuffer]byte) }}

func digestReader(r io.Reader) (Digest, int64, error) {
	h := sha256.New()
	buf := copyBuffers.Get().(*[copyBuffer]byte)
	defer copyBuffers.Put(buf)
	n, err := io.CopyBuffer(onlyWriter{h}, onlyReader{r}, buf[:])
	if err != nil {
		return "", n, err
	}
	return digestOf(h), n, nil
}

// onlyReader and onlyWriter hide WriteTo and ReadFrom, which would bypass the
// buffer that io.CopyBuffer is given.
type onlyReader struct{ io.Reader }
type onlyWriter struct{ io.Writer }

// checksum is the first eight bytes of the SHA-256 of b. It guards records of
// the store's own files: a random change passes with probability 2^-64.
func checksum(b []byte) uint64 {
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:8])
}
