// Package bundle packs a run into one file from which another machine repeats it
// without a network and without keys, and unpacks and repeats such a file.
//
// A bundle is a tar archive compressed with zstd. Its entries are regular files
// only, without times, owners or links, so that the same run gives the same
// bytes:
//
//	manifest.json         first: what the others are, each with its size and SHA-256
//	actions/KEY.json      the entry of a result that is packed: its outputs and preimage
//	answers.bin           the teacher's answers that the run used
//	blobs/HEX             the content of packed results, by SHA-256
//	cache/...             files that stages read from elsewhere, such as a data set of
//	                      the Hugging Face Hub, laid out as in the cache they came from
//	distillflow.lock      the lock of the run
//	params.json           params that --set or a params file gave
//	recipe/...            the recipe, what it extends and includes, and the files
//	                      outside the store that its stages read, as they lay to
//	                      one another
//
// The entries after the manifest stand in the order in which it lists them,
// sorted by path. Reader and writer hold the manifest in memory and nothing else
// that grows with the bundle but 32 bytes for each answer.
//
// A relative path in a recipe may lead out of its folder. So the recipe lies as
// many folders below recipe/ as such paths go up, all called _up, and the paths
// lead to the same files as before without leaving recipe/.
//
// answers.bin is a sequence of records sorted by key: the 32 bytes of the key,
// the length of the value as four bytes, little endian, and the value.
package bundle
