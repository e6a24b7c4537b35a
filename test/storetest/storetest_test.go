package storetest

import (
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEveryStoreKeepsObjectsOfAnyName(t *testing.T) {
	for _, provider := range []Provider{S3, Azure, GCS} {
		t.Run(string(provider), func(t *testing.T) {
			b := New(t, provider)
			b.Put("a/b c+d%41", []byte("one"))
			b.Put("a/é", []byte("two"))
			b.Put("b", nil)
			if got := string(b.Read("a/b c+d%41")); got != "one" {
				t.Errorf("it holds %q, want %q", got, "one")
			}
			if diff := cmp.Diff([]string{"a/b c+d%41", "a/é"}, b.Keys("a/")); diff != "" {
				t.Error(diff)
			}
			b.Delete("a/b c+d%41", "b")
			if diff := cmp.Diff([]string{"a/é"}, b.Keys("")); diff != "" {
				t.Error(diff)
			}
			if other := New(t, provider); len(other.Keys("")) != 0 {
				t.Error("a new bucket is not empty")
			}
		})
	}
}

func TestAStoreEndsWithTheProcessOfItsTests(t *testing.T) {
	if os.Getenv("STORETEST_CHILD") != "" {
		b := NewGCS(t)
		if err := os.WriteFile(os.Getenv("STORETEST_CHILD"), []byte(b.Endpoint), 0o600); err != nil {
			t.Fatal(err)
		}
		select {} // until it is killed
	}
	place := filepath.Join(t.TempDir(), "endpoint")
	tmp := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	child.Env = append(os.Environ(), "STORETEST_CHILD="+place, "TMPDIR="+tmp)
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var endpoint []byte
	waitUntil(t, "the child has a store", func() bool {
		endpoint, _ = os.ReadFile(place)
		return len(endpoint) > 0
	})
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	waitUntil(t, "the store has ended and left no directory", func() bool {
		answer, err := http.Get(string(endpoint))
		if err == nil {
			_ = answer.Body.Close()
		}
		left, _ := filepath.Glob(filepath.Join(tmp, "bt-store-*"))
		return err != nil && len(left) == 0
	})
}

func waitUntil(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after a minute it is still not so that %s", what)
		}
	}
}

func TestASignedRequestGoesThroughTheProxy(t *testing.T) {
	b, proxy := NewProxy(t, NewS3(t))
	direct := b.store
	cmd := exec.Command("/usr/bin/python3", "-c", `
import boto3, sys
s3 = boto3.client("s3", endpoint_url=sys.argv[1])
s3.put_object(Bucket=sys.argv[2], Key="a key", Body=b"x" * 100000)
assert len(s3.get_object(Bucket=sys.argv[2], Key="a key")["Body"].read()) == 100000
`, b.Endpoint, b.Name)
	cmd.Env = b.Env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if content, err := direct.get(b.Name, "a key"); err != nil || len(content) != 100000 {
		t.Errorf("%d bytes were stored, error %v", len(content), err)
	}
	if diff := cmp.Diff(map[string]int{"PUT": 1, "GET": 1}, proxy.Count()); diff != "" {
		t.Error(diff)
	}
}

func TestAStoreOverTLSLetsThoseInWhoTrustIt(t *testing.T) {
	b := NewSecureS3(t)
	b.Put("key", []byte("content"))
	cmd := exec.Command("/usr/bin/python3", "-c", `
import boto3, sys
assert boto3.client("s3", endpoint_url=sys.argv[1]).get_object(Bucket=sys.argv[2], Key="key")["Body"].read() == b"content"
`, b.Endpoint, b.Name)
	cmd.Env = b.Env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestTheProxyFailsAsItIsTold(t *testing.T) {
	b, proxy := NewProxy(t, NewGCS(t))
	content := []byte(strings.Repeat("0123456789", 10000))
	b.Put("object", content)
	// On a connection that it has used before the client would try again by itself.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func() (int, []byte, error) {
		answer, err := client.Get(proxy.URL + "/storage/v1/b/" + b.Name + "/o/object?alt=media")
		if err != nil {
			return 0, nil, err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		return answer.StatusCode, body, err
	}
	intact := func(what string) {
		t.Helper()
		if status, body, err := get(); status != 200 || string(body) != string(content) || err != nil {
			t.Errorf("%s: status %d, %d bytes, error %v; want the object", what, status, len(body), err)
		}
	}

	proxy.Fail(Fault{Method: "GET", Path: "object", Skip: 1, Times: 1, Does: Answer(503, "SlowDown")})
	intact("before the fault")
	if status, body, _ := get(); status != 503 || !strings.Contains(string(body), "<Code>SlowDown</Code>") {
		t.Errorf("status %d and %q, want 503 and SlowDown", status, body)
	}
	intact("after the fault")

	proxy.Fail(Fault{Times: 1, Does: Reset})
	if _, _, err := get(); !errors.Is(err, io.EOF) && (err == nil || !strings.Contains(err.Error(), "reset")) {
		t.Errorf("error %v, want a connection that was closed", err)
	}
	proxy.Fail(Fault{Times: 1, Does: Cut(1000)})
	if _, body, err := get(); len(body) != 1000 || err == nil {
		t.Errorf("%d bytes and error %v, want 1000 and an error", len(body), err)
	}
	proxy.Fail(Fault{Times: 1, Does: Flip(70000)})
	if _, body, err := get(); err != nil || body[70000] != '1' || len(body) != len(content) {
		t.Errorf("byte 70000 is %q, error %v; want a byte that is wrong", body[70000], err)
	}
	proxy.Fail(Fault{For: 50 * time.Millisecond, Does: Answer(500, "InternalError")})
	if status, _, _ := get(); status != 500 {
		t.Errorf("status %d, want 500", status)
	}
	time.Sleep(60 * time.Millisecond)
	intact("when the fault is over")
	proxy.Fail(Fault{Does: Stall(10)})
	proxy.Heal()
	intact("when healed")
}

func TestTemporaryCredentialsMayOnlyDoWhatThePolicyAllows(t *testing.T) {
	b := NewS3(t)
	b.Put("key", []byte("content"))
	restricted := b.Restricted(`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::*"]}]}`)
	cmd := exec.Command("/usr/bin/python3", "-c", `
import boto3, sys
s3 = boto3.client("s3", endpoint_url=sys.argv[1])
assert s3.get_object(Bucket=sys.argv[2], Key="key")["Body"].read() == b"content"
s3.put_object(Bucket=sys.argv[2], Key="key", Body=b"")
`, b.Endpoint, b.Name)
	cmd.Env = restricted.Env
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "AccessDenied") {
		t.Errorf("error %v, want AccessDenied\n%s", err, out)
	}
}

func TestWhatS3KnowsOfAnObjectCanBeSeen(t *testing.T) {
	b := NewS3(t)
	cmd := exec.Command("/usr/bin/python3", "-c", `
import boto3, sys
s3 = boto3.client("s3", endpoint_url=sys.argv[1])
s3.put_object(Bucket=sys.argv[2], Key="key", Body=b"", ServerSideEncryption="aws:kms", Tagging="a=b")
s3.create_multipart_upload(Bucket=sys.argv[2], Key="begun/and/left")
`, b.Endpoint, b.Name)
	cmd.Env = b.Env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := S3Object{Encryption: "aws:kms", KMSKey: "arn:aws:kms:" + KMSKey, Tags: map[string]string{"a": "b"}}
	if diff := cmp.Diff(want, b.Look("key")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"begun/and/left"}, b.Uploads()); diff != "" {
		t.Error(diff)
	}
}
