package store

// Fault points, in the order in which publishing one stage passes them. A test
// that kills its process at a point must find, after a restart, either the
// state before the step or the state after it.
const (
	FaultKeyLocked       = "key-locked"        // an action key's lock file is locked
	FaultBlobStaged      = "blob-staged"       // hashed, not yet in blobs/
	FaultBlobPublished   = "blob-published"    // in blobs/, nothing refers to it
	FaultTreePublished   = "tree-published"    // a folder's files and manifest are in blobs/
	FaultBeforeAction    = "before-action"     // outputs verified, entry not written
	FaultActionWritten   = "action-written"    // entry in tmp/, not yet renamed
	FaultActionPublished = "action-published"  // entry in place
	FaultLastWritten     = "last-written"      // pointers appended
	FaultTreeMaterial    = "tree-materialised" // folder complete in tmp/, not yet renamed
	FaultMemoWritten     = "memo-written"      // records written, not yet fsynced
	FaultMemoSynced      = "memo-synced"       // records durable, callers not yet told
)

func (s *Store) fault(point string) {
	if s.opts.Fault != nil {
		s.opts.Fault(point)
	}
}
