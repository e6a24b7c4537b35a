package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/barman-go/barman/core/cloud"
	"github.com/barman-go/barman/sdk"
)

// cloudFlags are the options of the barman-cloud programs. Each command adds the
// groups that it has; what is not added keeps its zero value.
type cloudFlags struct {
	verbose, quiet int
	test           bool
	provider       string
	endpoint       string
	profile        string
	region         string
	readTimeout    int
	credential     string
	encryption     string
	sseKMSKey      string
	kmsKeyName     string
	scope          string
	tags           tagList
	historyTags    tagList
	blockSize      cloudSize
	singlePut      cloudSize
	concurrency    int
	createBucket   bool
	checkLock      bool
	minChunkSize   cloudSize
	maxBandwidth   cloudSize
	jobs           int
	format         *string
	// patience is how long a store that is away is asked again; zero leaves it to the
	// sink.
	patience time.Duration
}

// brief is the patience of commands that somebody waits for, or runs again.
const brief = 10 * time.Second

// addCommon adds what every command has.
func (o *cloudFlags) addCommon(a *app, cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	o.format = &a.options.format
	flags.Bool("help", false, "print this help") // -h is the host in barman-cloud-backup
	flags.BoolP("version", "V", false, "print the version")
	flags.CountVarP(&o.verbose, "verbose", "v", "log more on standard error; -vv still more")
	flags.CountVarP(&o.quiet, "quiet", "q", "log less on standard error; -qq still less")
	flags.BoolVarP(&o.test, "test", "t", false, "only test that the bucket can be used")
	flags.StringVarP(o.format, "format", "f", formatConsole, "output `FORMAT`: console or json")
	flags.StringVar(&o.provider, "cloud-provider", "", "`PROVIDER` of the bucket: aws-s3, azure-blob-storage or google-cloud-storage (default: by the URL, else aws-s3)")
	flags.StringVar(&o.endpoint, "endpoint-url", "", "S3: `URL` of another store than Amazon's")
	flags.StringVarP(&o.profile, "aws-profile", "P", "", "S3: `PROFILE` of the shared AWS configuration")
	flags.IntVar(&o.readTimeout, "read-timeout", 0, "S3: `SECONDS` that the store may be silent (default 60)")
	flags.StringVar(&o.credential, "azure-credential", "", "Azure: `KIND` of credential: azure-cli, managed-identity or default (default: from the environment)")
	alias(flags, "aws-profile", "profile")
	alias(flags, "azure-credential", "credential", "default")
	completeFlag(cmd, "format", formatConsole, formatJSON)
	completeFlag(cmd, "cloud-provider", providerNames()...)
	completeFlag(cmd, "azure-credential", credentials()...)
}

// leaveD leaves the letter of "barman -d" to an option of the command's own.
func leaveD(a *app, flags *pflag.FlagSet) {
	flags.BoolVar(&a.options.debug, "debug", false, "log debug messages on standard error")
	hide(flags, "debug")
}

func providerNames() []string {
	var names []string
	for _, p := range cloud.Providers() {
		names = append(names, string(p))
	}
	return names
}

func credentials() []string { return []string{"azure-cli", "managed-identity", "default"} }

func encryptions() []string { return []string{"AES256", "aws:kms"} }

// addEncryption adds how the store encrypts what is uploaded.
func (o *cloudFlags) addEncryption(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&o.encryption, "encryption", "e", "", "S3: `ALGORITHM` by which the store encrypts: AES256 or aws:kms")
	flags.StringVar(&o.sseKMSKey, "sse-kms-key-id", "", "S3: `KEY` for --encryption aws:kms")
	flags.StringVar(&o.scope, "encryption-scope", "", "Azure: encryption `SCOPE` of the storage account")
	flags.StringVar(&o.kmsKeyName, "kms-key-name", "", "Google: `KEY` of the key management service to encrypt with")
	completeFlag(cmd, "encryption", encryptions()...)
}

// addTags adds the tags of what is uploaded.
func (o *cloudFlags) addTags(cmd *cobra.Command) {
	addTagFlags(cmd, &o.tags, "tag", "an object")
}

// addHistoryTags adds those of timeline history files.
func (o *cloudFlags) addHistoryTags(cmd *cobra.Command) {
	addTagFlags(cmd, &o.historyTags, "history-tag", "a timeline history file, in place of those of --tag")
}

func addTagFlags(cmd *cobra.Command, list *tagList, name, of string) {
	flags := cmd.Flags()
	flags.Var(&tagFlag{list: list, parse: cloud.ParseTag}, name, "`KEY,VALUE` of a tag for "+of+"; may be repeated")
	flags.Var(&tagFlag{list: list, parse: cloud.ParseQuotedTag}, name+"s", "`KEY,VALUE…`, several words up to the next option; use --"+name)
	annotate(flags, name+"s", severalWords)
}

// addAzureUpload adds how Azure takes uploads.
func (o *cloudFlags) addAzureUpload(flags *pflag.FlagSet) {
	flags.Var(&o.blockSize, "max-block-size", "Azure: `SIZE` of the blocks that an object is sent in (default 4MB)")
	flags.IntVar(&o.concurrency, "max-concurrency", 0, "Azure: `N` blocks are sent at once (default 1)")
	flags.Var(&o.singlePut, "max-single-put-size", "Azure: `SIZE` up to which an object is sent in one request (default 64MB)")
}

// check tells what is wrong with the options, beyond what their own values show.
func (o *cloudFlags) check() error {
	for _, choice := range []struct {
		name, value string
		known       []string
	}{
		{"cloud-provider", o.provider, providerNames()}, {"azure-credential", o.credential, credentials()},
		{"encryption", o.encryption, encryptions()}, {"format", *o.format, []string{formatConsole, formatJSON}},
	} {
		if choice.value != "" && !slices.Contains(choice.known, choice.value) {
			return sdk.Errorf(sdk.Invalid, "--%s %s: it is one of %s", choice.name, choice.value, strings.Join(choice.known, ", "))
		}
	}
	switch {
	case o.verbose > 0 && o.quiet > 0:
		return sdk.Errorf(sdk.Invalid, "--verbose and --quiet exclude each other")
	case o.readTimeout < 0:
		return sdk.Errorf(sdk.Invalid, "--read-timeout %d: it is a number of seconds", o.readTimeout)
	case o.sseKMSKey != "" && o.encryption != "aws:kms":
		return sdk.Errorf(sdk.Invalid, "--sse-kms-key-id needs --encryption aws:kms")
	}
	return nil
}

// options are what the options say of the bucket.
func (o *cloudFlags) options(url string) (cloud.Options, error) {
	if o.test {
		o.patience = brief
	}
	if err := cloud.CheckTags(o.tags); err != nil {
		return cloud.Options{}, err
	}
	if err := cloud.CheckTags(o.historyTags); err != nil {
		return cloud.Options{}, err
	}
	return cloud.Options{
		Provider: cloud.Provider(o.provider), URL: url,
		Endpoint: o.endpoint, Profile: o.profile, Region: o.region, ReadTimeout: time.Duration(o.readTimeout) * time.Second,
		Encryption: o.encryption, KMSKeyID: o.sseKMSKey, KMSKeyName: o.kmsKeyName, Credential: o.credential, EncryptionScope: o.scope,
		Tags: o.tags, HistoryTags: o.historyTags,
		PartSize: int64(o.minChunkSize), Parts: o.jobs, BlockSize: int64(o.blockSize), Concurrency: o.concurrency, SinglePut: int64(o.singlePut),
		Patience: o.patience, Bandwidth: int64(o.maxBandwidth), CreateBucket: o.createBucket, CheckObjectLock: o.checkLock,
	}, nil
}

// logger writes to standard error what is at least a warning, or what -v and -q
// make of that.
func (o *cloudFlags) logger(stderr io.Writer, debug bool) hclog.Logger {
	level := hclog.Warn - hclog.Level(o.verbose) + hclog.Level(o.quiet)
	if debug {
		level = min(level, hclog.Debug)
	}
	return hclog.New(&hclog.LoggerOptions{Output: redactor{stderr}, Level: min(max(level, hclog.Trace), hclog.Off)})
}

// printer prints answers to standard output and everything else to standard error,
// in whatever format: who reads the document reads nothing else.
func (o *cloudFlags) printer(a *app) printer {
	screen := &console{stdout: a.stdout, stderr: a.stderr, style: a.style}
	if *o.format == formatJSON {
		return &cloudDocument{document{stdout: a.stdout, stderr: a.stderr, object: map[string]any{}}, screen}
	}
	return screen
}

// cloudDocument is a document that nothing but answers goes into, and that is not
// printed without one.
type cloudDocument struct {
	document
	screen *console
}

func (d *cloudDocument) info(text string) { fmt.Fprintln(d.screen.stderr, redact(text)) }
func (d *cloudDocument) warn(text string) { d.screen.warn(text) }
func (d *cloudDocument) fail(err error)   { d.screen.fail(err) }

func (d *cloudDocument) finish() error {
	if len(d.object) == 0 {
		return nil
	}
	return d.document.finish()
}

// alias gives an option further names, which no help shows.
func alias(flags *pflag.FlagSet, name string, others ...string) {
	value := flags.Lookup(name).Value
	for _, other := range others {
		flags.Var(value, other, "the same as --"+name)
		hide(flags, other)
	}
}

func hide(flags *pflag.FlagSet, name string) {
	if err := flags.MarkHidden(name); err != nil {
		panic(err) // there is no such option: a mistake in this program
	}
}

func annotate(flags *pflag.FlagSet, name, key string) {
	if err := flags.SetAnnotation(name, key, nil); err != nil {
		panic(err) // there is no such option: a mistake in this program
	}
}

// tagList is what all options for one kind of tag add to.
type tagList []cloud.Tag

// tagFlag adds a tag in one of the two forms.
type tagFlag struct {
	list  *tagList
	parse func(string) (cloud.Tag, error)
}

func (f *tagFlag) String() string { return "" }
func (f *tagFlag) Type() string   { return "KEY,VALUE" }

func (f *tagFlag) Set(text string) error {
	tag, err := f.parse(text)
	if err == nil {
		*f.list = append(*f.list, tag)
	}
	return err
}

// cloudSize is a number of bytes in the units of Python's cloud programs.
type cloudSize int64

func (s *cloudSize) String() string { return "" }
func (s *cloudSize) Type() string   { return "SIZE" }

func (s *cloudSize) Set(text string) error {
	bytes, err := cloud.ParseSize(text)
	*s = cloudSize(bytes)
	return err
}
