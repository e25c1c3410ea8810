// Package remote keeps what a store holds in a bucket that others share: a folder
// of a shared file system, S3, Google Cloud Storage or Azure, by gocloud.dev/blob.
//
// # Layout
//
// Below the URL's path, or its prefix:
//
//	v1/blobs/sha256/ab/HEX    the bytes of one blob of the store
//	v1/actions/ab/KEY.json    one action entry, as the store writes it
//	v1/memo/ab/HEX            one paid answer
//	v1/claims/ab/HEX.N        who buys that answer at the moment
//	v1/jobs/NAME/...          what a coordinator and its workers tell each other
//
// # Trust
//
// Nothing that comes from a bucket is believed: blobs are hashed on arrival,
// entries carry checksums and the text whose hash their key is. What is missing,
// cut off or damaged counts as absent. Whoever may write to the bucket can still
// publish a wrong result under a right key, as a compromised machine could.
package remote
