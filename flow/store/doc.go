// Package store keeps what a recipe has produced, so that nothing is computed
// or paid for twice.
//
// # Vocabulary
//
// A blob is the content of one file, addressed by the SHA-256 of its bytes
// ([Digest]). A tree is a folder: a canonical JSON manifest, itself a blob,
// that lists the folder's files. An [Action] maps an action key (the hash of
// everything that decides a stage's result) to the digests of its outputs. A
// [Pointer] remembers which action a recipe's stage used last, so that a plan
// can say why a stage runs again. The memo ([Memo]) keeps single paid calls and
// lives outside the store, because a store is a cache and may be deleted while
// paid answers may not.
//
// # Layout
//
//	.distillflow/
//	  version            the layout's version
//	  lock               shared by every user of the store, exclusive for GC
//	  .gitignore         "*"
//	  blobs/sha256/ab/.. one file a blob, mode 0444
//	  actions/ab/KEY.json
//	  trees/HEX/         materialised folders
//	  last/              pointers, one file a recipe
//	  runs/ID/           run.json and events.jsonl; a lock while the run lives
//	  work/KEY/          scratch that survives a crash (checkpoints)
//	  locks/             one lock a key being worked on
//	  tmp/               staging, emptied when nobody uses the store
//	  statcache          digests of external input files
//	  saved/             what the files of save: targets were written from; the engine's
//
// # Crash safety
//
// Publishing goes in one order: blobs, verification, then the action entry,
// each by rename within the store's file system. Whoever dies on the way leaves
// staging behind and no entry. Callers choose [Durable] where losing a result
// to a power failure would cost money: then files and folders are fsynced
// before the next step.
//
// # Soundness
//
// Publishing stamps each blob: the nanosecond part of its modification time is
// derived from its digest and size. A later write, truncation or replacement
// moves that time, so that a stat call tells a blob nobody touched from one
// that must be hashed again. A blob that fails is a miss, is reported through
// Options.Warn, and is replaced when its stage runs again. What a stat call
// cannot see (decay of the medium, a writer that restores times) is found by
// [Store.Verify], by Options.VerifyReads, and at the end of every read through
// [Store.OpenBlob], which hashes what it hands out.
//
// Every record of the store's own files carries a checksum. A damaged record
// is skipped: an action becomes a miss, a pointer is forgotten, a file is
// hashed again.
package store
