package storetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

var fakeGCS = program{
	name: "fake-gcs-server", file: "fake-gcs-server", ready: "/storage/v1/b",
	command: func(file, data string, port int) (args, env []string) {
		return []string{
			// Its files on disk would have names longer than file systems allow.
			file, "-backend", "memory", "-scheme", "http", "-host", "127.0.0.1", "-port", strconv.Itoa(port),
			"-log-level", "warn",
		}, nil
	},
}

var startFakeGCS = sync.OnceValues(fakeGCS.start)

// NewGCS makes a bucket on fake-gcs-server, which lets everybody in.
func NewGCS(t testing.TB) *Bucket {
	t.Helper()
	server, err := startFakeGCS()
	if err != nil {
		t.Fatal(err)
	}
	name, endpoint := newName(), "http://"+server.address
	return open(t, &Bucket{
		Provider: GCS, Name: name, URL: "gs://" + name, Endpoint: endpoint,
		Env:   []string{"STORAGE_EMULATOR_HOST=" + server.address},
		store: bucketsOfGCS(endpoint),
	})
}

// bucketsOfGCS is the address of a server of the JSON API of Google Cloud Storage.
type bucketsOfGCS string

func (g bucketsOfGCS) create(bucket string) error {
	document, err := json.Marshal(map[string]string{"name": bucket})
	if err != nil {
		return err
	}
	_, err = g.call(http.MethodPost, "/storage/v1/b?project=barman", document)
	return err
}

func (g bucketsOfGCS) put(bucket, key string, content []byte) error {
	_, err := g.call(http.MethodPost, "/upload/storage/v1/b/"+bucket+"/o?uploadType=media&name="+url.QueryEscape(key), content)
	return err
}

func (g bucketsOfGCS) get(bucket, key string) ([]byte, error) {
	return g.call(http.MethodGet, "/storage/v1/b/"+bucket+"/o/"+url.PathEscape(key)+"?alt=media", nil)
}

func (g bucketsOfGCS) list(bucket, prefix string) ([]string, error) {
	var keys []string
	for token := ""; ; {
		query := url.Values{"prefix": {prefix}, "pageToken": {token}}
		body, err := g.call(http.MethodGet, "/storage/v1/b/"+bucket+"/o?"+query.Encode(), nil)
		if err != nil {
			return nil, err
		}
		var page struct {
			Items         []struct{ Name string }
			NextPageToken string
		}
		if err := json.Unmarshal(body, &page); err != nil {
			return nil, err
		}
		for _, item := range page.Items {
			keys = append(keys, item.Name)
		}
		if token = page.NextPageToken; token == "" {
			slices.Sort(keys)
			return keys, nil
		}
	}
}

func (g bucketsOfGCS) delete(bucket, key string) error {
	_, err := g.call(http.MethodDelete, "/storage/v1/b/"+bucket+"/o/"+url.PathEscape(key), nil)
	return err
}

func (g bucketsOfGCS) call(method, path string, body []byte) ([]byte, error) {
	request, err := http.NewRequest(method, string(g)+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode >= 300 {
		err = fmt.Errorf("%s: %s", answer.Status, strings.TrimSpace(string(content)))
	}
	return content, err
}
