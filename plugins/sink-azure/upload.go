package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/bucket"
)

// upload is a blob whose blocks are being staged.
type upload struct {
	store    *store
	key      string
	blob     *blockblob.Client
	ifAbsent bool
	// own tells the blocks of this upload from those of another one of the same key.
	own [ownBytes]byte

	mu     sync.Mutex
	blocks int // the highest number of a block that was staged
}

// Begin begins an upload. Azure need not be told.
func (s *store) Begin(_ context.Context, key string, ifAbsent bool) (bucket.Upload, error) {
	if err := canStore(key); err != nil {
		return nil, err
	}
	u := &upload{store: s, key: key, blob: s.blobs.NewBlockBlobClient(blobName(key)), ifAbsent: ifAbsent}
	// crypto/rand.Read never returns an error.
	_, _ = rand.Read(u.own[:])
	return u, nil
}

const (
	ownBytes    = 3
	numberBytes = 2 // maxBlocks is below 1<<16
)

// blockID is the name of a block. All names within one blob must have one length,
// and blocks that were never committed count for that: Python Barman's have five
// digits, so these have five bytes. Its digits are the block's number alone, so that
// two uploads of one key at once would put together a blob of blocks of both.
func (u *upload) blockID(number int) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint16(u.own[:len(u.own):len(u.own)], uint16(number)))
}

// Part stages a block.
func (u *upload) Part(ctx context.Context, number int, body []byte, _ uint32, _ bool) error {
	if number < 1 || number > maxBlocks {
		return sdk.Errorf(sdk.Invalid, "a blob has at most %d blocks", maxBlocks)
	}
	_, err := u.blob.StageBlock(ctx, u.blockID(number), streaming.NopCloser(bytes.NewReader(body)), &blockblob.StageBlockOptions{TransactionalValidation: md5Of(body)})
	if err != nil {
		return u.store.fault(err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.blocks = max(u.blocks, number)
	return nil
}

// Complete commits the list of blocks. Done again, it finds the blocks in the blob
// itself, and changes nothing.
func (u *upload) Complete(ctx context.Context, _ int64, crc32c uint32) error {
	u.mu.Lock()
	blocks := make([]string, u.blocks)
	u.mu.Unlock()
	for i := range blocks {
		blocks[i] = u.blockID(i + 1)
	}
	s := u.store
	_, err := u.blob.CommitBlockList(ctx, blocks, &blockblob.CommitBlockListOptions{
		Tags: s.tags.Of(u.key), Metadata: checksum(crc32c), Tier: s.tier, CPKScopeInfo: s.scope, AccessConditions: absent(u.ifAbsent),
	})
	return s.fault(err)
}

// Abort leaves the blocks to Azure. See the package's documentation.
func (u *upload) Abort(context.Context) error { return nil }

// scopedBlocks puts the encryption scope into requests for blocks. The library leaves
// it out of them, but Azure encrypts blocks as they come.
type scopedBlocks string

// Do changes a request before it is signed.
func (s scopedBlocks) Do(request *policy.Request) (*http.Response, error) {
	if raw := request.Raw(); s != "" && raw.Method == http.MethodPut && raw.URL.Query().Get("comp") == "block" {
		raw.Header.Set("x-ms-encryption-scope", string(s))
	}
	return request.Next()
}
