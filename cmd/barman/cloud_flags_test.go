package main

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/barman-go/barman/core/cloud"
)

// newUpload is a command with all options of an upload.
func newUpload() (*cobra.Command, *cloudFlags) {
	var o cloudFlags
	cmd := &cobra.Command{Use: "upload URL SERVER [FILE]"}
	addCloud(newApp(os.Stdout, os.Stderr), cmd, &o, 0, 1, nil)
	o.addTags(cmd)
	o.addHistoryTags(cmd)
	o.addEncryption(cmd)
	o.addAzureUpload(cmd.Flags())
	return cmd, &o
}

// parsed is what a command line, its words apart by blanks, comes to.
func parsed(t *testing.T, line string) (*cloudFlags, []string) {
	t.Helper()
	cmd, o := newUpload()
	if err := cmd.ParseFlags(completed(cmd, strings.Fields(line))); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return o, cmd.Flags().Args()
}

func TestTagsTakeAllWordsUpToTheNextOption(t *testing.T) {
	tags := tagList{{Key: "a", Value: "1"}, {Key: "b", Value: "2"}}
	for line, want := range map[string]string{
		"--tags a,1 b,2 --cloud-provider aws-s3 s3://b main file": "s3://b main file",
		"s3://b main file --tags a,1 b,2":                         "s3://b main file",
		"s3://b --tags a,1 b,2 -e AES256 main file":               "s3://b main file",
		"--tags=a,1 --tags=b,2 s3://b main file":                  "s3://b main file",
		"--tag a,1 --tag b,2 s3://b main file":                    "s3://b main file",
		"--tag a,1 --tags b,2 -- s3://b main file":                "s3://b main file",
		"--history-tags --tags a,1 b,2 -t s3://b main":            "s3://b main",
	} {
		o, arguments := parsed(t, line)
		if diff := cmp.Diff(tags, o.tags); diff != "" {
			t.Errorf("%s: tags (-want +got):\n%s", line, diff)
		}
		if got := strings.Join(arguments, " "); got != want || len(o.historyTags) > 0 {
			t.Errorf("%s: arguments %q, history tags %v", line, got, o.historyTags)
		}
	}
}

func TestOptionsOfTheCloudProgramsHaveTheirOldNames(t *testing.T) {
	for _, line := range []string{
		"-P p --azure-credential default -e aws:kms --read-timeout 5 --max-block-size 5MB -vv",
		"--profile p --credential default --encryption aws:kms --read-timeout=5 --max-block-size=5MB --verbose --verbose",
		"--aws-prof p --azure-cred default --encryption=aws:kms --read-time 5 --max-block 5mb -v -v",
	} {
		o, _ := parsed(t, line+" s3://b main")
		if err := o.check(); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		options, err := o.options("s3://b")
		want := cloud.Options{URL: "s3://b", Profile: "p", Credential: "default", Encryption: "aws:kms", ReadTimeout: 5e9, BlockSize: 5 << 20}
		if diff := cmp.Diff(want, options); diff != "" || err != nil || o.verbose != 2 {
			t.Errorf("%s: %v, %d (-want +got):\n%s", line, err, o.verbose, diff)
		}
	}
}

func TestOptionsThatCannotBeAreRefused(t *testing.T) {
	for _, line := range []string{
		"--cloud-provider nobody", "--azure-credential mine", "-e rot13", "--sse-kms-key-id key", "-e AES256 --sse-kms-key-id key", "-v -q", "--format xml",
		"--read-timeout -1",
	} {
		o, _ := parsed(t, line+" s3://b main")
		if err := o.check(); codeOfCloud(err) != exitInvalid {
			t.Errorf("%s: %v", line, err)
		}
	}
	o, _ := parsed(t, "--tag a,1 --tag a,2 s3://b main")
	if _, err := o.options("s3://b"); codeOfCloud(err) != exitInvalid {
		t.Errorf("a key twice: %v", err)
	}
	for _, line := range []string{"--max-block-size 5XB", "--tag a", "--tags a,b c", "--nonsense"} {
		cmd, _ := newUpload()
		err := cmd.ParseFlags(completed(cmd, strings.Fields(line)))
		if err == nil {
			t.Errorf("%s is taken", line)
			continue
		}
		if err = cmd.FlagErrorFunc()(cmd, err); !errors.As(err, new(settled)) || codeOfCloud(err) != exitInvalid {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func FuzzCloudCommandLine(f *testing.F) {
	for _, line := range []string{"--tags a,1 b,2 -t s3://b main", "--tags", "--tags --", "-P", "--history-tags x -e", "-- --tags a,1"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		cmd, o := newUpload()
		words := strings.Fields(line)
		if err := cmd.ParseFlags(completed(cmd, words)); err != nil {
			return
		}
		if len(o.tags)+len(o.historyTags)+cmd.Flags().NArg() > len(words) {
			t.Errorf("%q: %v %v %v", words, o.tags, o.historyTags, cmd.Flags().Args())
		}
		if err := o.check(); err != nil && codeOfCloud(err) != exitInvalid {
			t.Errorf("%q: %v", words, err)
		}
	})
}
