// Package oci keeps bundles in OCI registries: a bundle is an artifact with one layer,
// the bundle's file as it is. The same bundle has the same digest wherever and whenever
// it is pushed: the manifest holds no time.
//
//	{
//	  "schemaVersion": 2,
//	  "mediaType": "application/vnd.oci.image.manifest.v1+json",
//	  "artifactType": "application/vnd.distillflow.bundle.v1",
//	  "config": {"mediaType": "application/vnd.oci.empty.v1+json", ...},
//	  "layers": [{"mediaType": "application/vnd.distillflow.bundle.v1.tar+zstd", "digest", "size",
//	    "annotations": {"org.opencontainers.image.title": "gsm8k.tar.zst"}}]
//	}
//
// The title serves other programs, which name what they pull by it. Nothing here reads
// it: an artifact comes from somebody else.
package oci
