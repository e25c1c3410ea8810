package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// BenchmarkPublish is one trivial stage: rows, entry, and nothing durable.
func BenchmarkPublish(b *testing.B) {
	s, _ := newStore(b)
	i := 0
	for b.Loop() {
		i++
		publish(b, s, testKey(i), fmt.Sprint("text ", i))
	}
}

// fillStore publishes n actions with pointers, as a finished recipe leaves them.
func fillStore(b *testing.B, n int) string {
	dir := filepath.Join(b.TempDir(), "s")
	s, _ := openStore(b, dir, Options{})
	pointers := map[string]Pointer{}
	for i := range n {
		a := publish(b, s, testKey(i), fmt.Sprint("text ", i))
		pointers[fmt.Sprint("stage", i)] = Pointer{Key: a.Key, Preimage: a.Preimage}
	}
	if err := s.SetLastMany("recipe", pointers); err != nil {
		b.Fatal(err)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	return dir
}

// BenchmarkPlanAllHit is the store's part of planning an all-cached recipe in a
// fresh process: open, read the pointers, look every stage up, close.
func BenchmarkPlanAllHit(b *testing.B) {
	const n = 2000 // stages of a large sweep
	dir := fillStore(b, n)
	for b.Loop() {
		s, err := Open(dir, Options{})
		if err != nil {
			b.Fatal(err)
		}
		if all, err := s.LastAll("recipe"); err != nil || len(all) != n {
			b.Fatal(len(all), err)
		}
		for i := range n {
			if _, ok, err := s.GetAction(testKey(i)); !ok || err != nil {
				b.Fatal(i, ok, err)
			}
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/stage")
}

func BenchmarkHashFile(b *testing.B) {
	s, _ := newStore(b)
	p := filepath.Join(b.TempDir(), "data")
	if err := os.WriteFile(p, make([]byte, 64<<20), 0o644); err != nil {
		b.Fatal(err)
	}
	b.Run("read 64 MiB", func(b *testing.B) {
		b.SetBytes(64 << 20)
		for b.Loop() {
			if _, _, err := s.HashFile(context.Background(), p); err != nil {
				b.Fatal(err)
			}
		}
	})
	s.now = later
	b.Run("unchanged", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := s.HashFile(context.Background(), p); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkMemoPut has 32 writers for each processor, every answer durable.
func BenchmarkMemoPut(b *testing.B) {
	m, _ := openMemo(b, b.TempDir(), MemoOptions{})
	var next atomic.Int64
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := int(next.Add(1))
			if err := m.Put(memoKey(i), memoValue(1+i%40)); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkMemoGet(b *testing.B) {
	m, _ := openMemo(b, b.TempDir(), MemoOptions{NoSync: true, Refresh: -1})
	const n = 10_000
	for i := range n {
		if err := m.Put(memoKey(i), memoValue(i)); err != nil {
			b.Fatal(err)
		}
	}
	var next atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, ok, err := m.Get(memoKey(int(next.Add(1)) % n)); !ok || err != nil {
				b.Error(ok, err)
				return
			}
		}
	})
}

func BenchmarkMemoOpen(b *testing.B) {
	dir := b.TempDir()
	m, _ := openMemo(b, dir, MemoOptions{NoSync: true})
	const n = 10_000
	for i := range n {
		if err := m.Put(memoKey(i), memoValue(i)); err != nil {
			b.Fatal(err)
		}
	}
	m.Close()
	for b.Loop() {
		m, err := OpenMemo(dir, MemoOptions{})
		if err != nil || m.Stats().Records != n {
			b.Fatal(err)
		}
		m.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
}
