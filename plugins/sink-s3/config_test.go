package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMistakesInSettingsAreReportedWhereTheyAre(t *testing.T) {
	c := Config{
		URL: "https://bucket", Endpoint: "minio:9000", AccessKeyID: "a", Profile: "p", Encryption: "DES", KMSKeyID: "k", StorageClass: "GLACIER",
		HistoryTags: map[string]string{"1": "", "2": "", "3": "", "4": "", "5": "", "6": "", "7": "", "8": "", "9": "", "10": "", "11": ""},
		PartSize:    1 << 20, ParallelParts: -1, ObjectLock: &ObjectLock{Mode: "FOREVER"},
	}
	var paths []string
	for _, d := range c.Validate() {
		paths = append(paths, d.Path)
		if !strings.HasSuffix(d.Detail, ".") {
			t.Errorf("%s: %q", d.Path, d.Detail)
		}
	}
	slices.Sort(paths)
	want := []string{
		"encryption", "endpoint", "history_tags", "kms_key_id", "object_lock.mode", "object_lock.retain_days", "parallel_parts", "part_size", "profile",
		"secret_access_key", "storage_class", "url",
	}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Error(diff)
	}
	for _, lock := range []ObjectLock{{}, {RetainDays: 1}} {
		if found := (&Config{URL: "s3://b", ObjectLock: &lock}).Validate(); len(found) == 0 {
			t.Errorf("%+v is no lock", lock)
		}
	}
	good := Config{URL: "s3://b/p", Endpoint: "https://minio", AccessKeyID: "a", SecretAccessKey: "b", SessionToken: "c", Encryption: "aws:kms", KMSKeyID: "k", ObjectLock: &ObjectLock{LegalHold: true}}
	if found := good.Validate(); len(found) > 0 {
		t.Errorf("%v", found)
	}
}

func FuzzParseURL(f *testing.F) {
	for _, seed := range []string{"s3://bucket", "s3://bucket/", "s3://bucket/a/b", "s3:///x", "gs://bucket", "s3://a:b@c/d", "s3://b/\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name, path, err := parseURL(text)
		if err != nil {
			return
		}
		if name == "" || strings.ContainsAny(name, "/@?# ") || "s3://"+name+"/"+path != text && "s3://"+name != text {
			t.Errorf("%q is the bucket %q and the path %q", text, name, path)
		}
	})
}
