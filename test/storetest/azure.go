package storetest

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
)

// The account that Azurite has from the start; both are in its documentation.
const (
	azureAccount = "devstoreaccount1"
	azureKey     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

var azurite = program{
	name: "Azurite", file: "azurite/node_modules/azurite/dist/src/blob/main.js", ready: "/",
	command: func(file, data string, port int) (args, env []string) {
		return []string{
			"node", "--max-old-space-size=256", file, "--blobHost", "127.0.0.1", "--blobPort", strconv.Itoa(port),
			"--location", filepath.Clean(data), "--silent", "--disableTelemetry", "--skipApiVersionCheck", "--loose",
		}, nil
	},
}

var startAzurite = sync.OnceValues(azurite.start)

// NewAzure makes a container on Azurite. Its environment has the connection string, which is the one way that every program
// has to an emulator.
func NewAzure(t testing.TB) *Bucket {
	t.Helper()
	server, err := startAzurite()
	if err != nil {
		t.Fatal(err)
	}
	name, endpoint := newName(), "http://"+server.address
	client, err := azblob.NewClientFromConnectionString(azureConnection(endpoint), nil)
	if err != nil {
		t.Fatal(err)
	}
	return open(t, &Bucket{
		Provider: Azure, Name: name, URL: azureURL(endpoint, name), Endpoint: endpoint,
		Env:   []string{"AZURE_STORAGE_CONNECTION_STRING=" + azureConnection(endpoint)},
		store: containersOfAzure{client},
	})
}

func azureURL(endpoint, container string) string {
	return fmt.Sprintf("%s/%s/%s", endpoint, azureAccount, container)
}

func azureConnection(endpoint string) string {
	return fmt.Sprintf("DefaultEndpointsProtocol=http;AccountName=%s;AccountKey=%s;BlobEndpoint=%s/%[1]s;", azureAccount, azureKey, endpoint)
}

// WithKey is an Azure container whose environment has the account and its key in place of the connection string.
func (b *Bucket) WithKey() *Bucket {
	with := *b
	with.Env = []string{"AZURE_STORAGE_ACCOUNT=" + azureAccount, "AZURE_STORAGE_KEY=" + azureKey}
	return &with
}

// WithSAS is an Azure container whose environment has a shared access signature of the account in place of the connection
// string: permissions in Azure's letters ("rl" to read and list), until it expires.
func (b *Bucket) WithSAS(permissions string, expires time.Time) *Bucket {
	b.t.Helper()
	key, err := azblob.NewSharedKeyCredential(azureAccount, azureKey)
	if err != nil {
		b.t.Fatal(err)
	}
	token, err := sas.AccountSignatureValues{
		Protocol: sas.ProtocolHTTPSandHTTP, StartTime: time.Now().Add(-48 * time.Hour).UTC(), ExpiryTime: expires.UTC(),
		Permissions: permissions, ResourceTypes: "sco",
	}.SignWithSharedKey(key)
	if err != nil {
		b.t.Fatalf("signing a shared access signature: %v", err)
	}
	with := *b
	with.Env = []string{"AZURE_STORAGE_ACCOUNT=" + azureAccount, "AZURE_STORAGE_SAS_TOKEN=" + token.Encode()}
	return &with
}

type containersOfAzure struct{ client *azblob.Client }

func (a containersOfAzure) create(container string) error {
	_, err := a.client.CreateContainer(context.Background(), container, nil)
	return err
}

func (a containersOfAzure) put(container, key string, content []byte) error {
	_, err := a.client.UploadBuffer(context.Background(), container, key, content, nil)
	return err
}

func (a containersOfAzure) get(container, key string) ([]byte, error) {
	answer, err := a.client.DownloadStream(context.Background(), container, key, nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return io.ReadAll(answer.Body)
}

func (a containersOfAzure) list(container, prefix string) ([]string, error) {
	var keys []string
	for pages := a.client.NewListBlobsFlatPager(container, &azblob.ListBlobsFlatOptions{Prefix: &prefix}); pages.More(); {
		page, err := pages.NextPage(context.Background())
		if err != nil {
			return nil, err
		}
		for _, blob := range page.Segment.BlobItems {
			keys = append(keys, *blob.Name)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

func (a containersOfAzure) delete(container, key string) error {
	_, err := a.client.DeleteBlob(context.Background(), container, key, nil)
	return err
}
