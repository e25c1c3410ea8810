// Package hub finds models and data sets on the Hugging Face Hub and keeps them in
// the cache that every Hugging Face tool shares, so that nothing is downloaded
// twice by two programs.
//
// A reference is hf://owner/name, with @revision and a path below it where needed
// ([Parse]). [Client.Resolve] turns it into a [Snapshot]: the commit the revision
// stands for now, and the files of that commit. [Snapshot.Fetch] brings files to
// the disk.
//
// Words of the cache: a blob is a file's content under its checksum; a snapshot is
// a folder of links from the names that files have in one commit to their blobs; a
// ref holds the commit that a branch or tag stood for when it was last asked for.
// The layout is that of the Python client:
//
//	models--owner--name/blobs/CHECKSUM
//	models--owner--name/refs/main
//	models--owner--name/snapshots/COMMIT/config.json -> ../../blobs/CHECKSUM
//	models--owner--name/distillflow-trees/COMMIT.json   (ours: the list of a commit's files)
//	.locks/models--owner--name/CHECKSUM.lock
//
// [Client.Push] commits files to a repository of the Hub.
//
// Without a network, or with HF_HUB_OFFLINE=1, everything is answered from there.
package hub
