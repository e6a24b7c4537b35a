package main

import (
	"context"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/barman-go/barman/sdk/bucket"
)

// maxMarked is how many ends of pages are remembered.
const maxMarked = 64

// List returns one page. One that Azure leaves empty, as it may where a prefix lies
// on several of its servers, is passed over.
func (s *store) List(ctx context.Context, prefix, after string) (page []bucket.Attributes, more bool, err error) {
	under := blobName(prefix)
	options := &container.ListBlobsFlatOptions{Prefix: &under}
	if marker := s.marker(prefix, after); marker != "" {
		options.Marker = &marker
	}
	pages := s.blobs.NewListBlobsFlatPager(options)
	for pages.More() {
		answer, err := pages.NextPage(ctx)
		if err != nil {
			return nil, false, s.fault(err)
		}
		for _, item := range answer.Segment.BlobItems {
			// In accounts with a hierarchical namespace folders are listed, too.
			key := keyOf(value(item.Name))
			if item.Properties == nil || key <= after || value(item.Properties.ResourceType) == "directory" {
				continue
			}
			page = append(page, bucket.Attributes{Key: key, Size: value(item.Properties.ContentLength), Modified: value(item.Properties.LastModified)})
		}
		if len(page) > 0 {
			s.mark(prefix, page[len(page)-1].Key, value(answer.NextMarker))
			break
		}
	}
	return page, pages.More(), nil
}

// marker is where the page begins that follows a key; empty for the first page, and
// for a page before which no other was asked for: then all before it is passed over.
func (s *store) marker(prefix, after string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.marked[[2]string{prefix, after}]
}

// mark remembers where the page behind a key begins.
func (s *store) mark(prefix, last, marker string) {
	if marker == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.marked) >= maxMarked {
		clear(s.marked)
	}
	s.marked[[2]string{prefix, last}] = marker
}
