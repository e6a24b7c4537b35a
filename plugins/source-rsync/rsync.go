package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/barman-go/barman/sdk"
)

// rsync runs the system's rsync.
type rsync struct {
	path string
	env  []string
	// remote is the manual's ssh_command; empty for this machine.
	remote string
	logger hclog.Logger
}

const (
	// The oldest version that tells apart what vanished; it is of 2013.
	oldestMajor, oldestMinor = 3, 1
	// ioTimeout is after how many seconds without a byte rsync gives up: it then
	// ends with code 30.
	ioTimeout = 600
	// endTime is how long rsync may take to end when it is told to.
	endTime = 5 * time.Second
)

// newRsync finds rsync and makes sure that it is new enough.
func newRsync(ctx context.Context, config *Config) (*rsync, error) {
	r := &rsync{remote: config.SSHCommand, logger: hclog.FromContext(ctx)}
	path := os.Getenv("PATH")
	if config.PathPrefix != "" {
		path = config.PathPrefix + ":" + path
	}
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		// Rules and options of the environment would change what is copied.
		if name != "PATH" && name != "TZ" && name != "LC_ALL" && !strings.HasPrefix(name, "RSYNC_") {
			r.env = append(r.env, variable)
		}
	}
	r.env = append(r.env, "PATH="+path, "TZ=UTC", "LC_ALL=C")
	for _, directory := range filepath.SplitList(path) {
		candidate := filepath.Join(directory, "rsync")
		if info, err := os.Stat(candidate); filepath.IsAbs(candidate) && err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			r.path = candidate
			break
		}
	}
	if r.path == "" {
		return nil, sdk.Errorf(sdk.Invalid, "there is no rsync on this machine in %s: install it, or name its directory in path_prefix", path)
	}
	command := exec.CommandContext(ctx, r.path, "--version")
	command.Env = r.env
	out, err := command.Output()
	if err != nil {
		return nil, sdk.Errorf(sdk.Invalid, "%s --version: %w", r.path, err)
	}
	return r, checkVersion(r.path, string(out))
}

var versionLine = regexp.MustCompile(`^rsync +version v?(\d+)\.(\d+)`)

func checkVersion(path, answer string) error {
	found := versionLine.FindStringSubmatch(answer)
	if found == nil {
		first, _, _ := strings.Cut(answer, "\n")
		return sdk.Errorf(sdk.Invalid, "%s --version answers %.100q: that is no rsync that can be used", path, first)
	}
	major, errMajor := strconv.Atoi(found[1])
	minor, errMinor := strconv.Atoi(found[2])
	if errMajor != nil || errMinor != nil || major < oldestMajor || major == oldestMajor && minor < oldestMinor {
		return sdk.Errorf(sdk.Invalid, "%s is version %s.%s: %d.%d or newer is needed", path, found[1], found[2], oldestMajor, oldestMinor)
	}
	return nil
}

// from names a path on PostgreSQL's host.
func (r *rsync) from(path string) string {
	if r.remote == "" {
		return path
	}
	return ":" + path
}

// arguments are those of every run. The path is no word of a shell: with
// --protect-args it travels inside the protocol. ssh must not ask for anything:
// nobody is there to answer.
func (r *rsync) arguments(more ...string) []string {
	args := []string{"--timeout=" + strconv.Itoa(ioTimeout)}
	if r.remote != "" {
		args = append(args, "--protect-args", "--rsh="+r.remote+" -o BatchMode=yes")
	}
	return append(args, more...)
}

// run runs rsync, hands its lines of output to line, and says what went wrong. A
// file that vanished is fine.
func (r *rsync) run(ctx context.Context, line func(string) error, args ...string) error {
	_, err := r.watched(ctx, line, args...)
	return err
}

// watched is run that tells how many files vanished, or were skipped for a reason
// as good.
func (r *rsync) watched(ctx context.Context, line func(string) error, args ...string) (vanished int, err error) {
	command := exec.CommandContext(ctx, r.path, r.arguments(args...)...)
	command.Env = r.env
	// A group of its own, so that ssh ends with it.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGTERM) }
	command.WaitDelay = endTime
	said := &complaints{logger: r.logger}
	command.Stderr = said
	out, err := command.StdoutPipe()
	if err != nil {
		return 0, err
	}
	r.logger.Debug("run rsync", "arguments", command.Args[1:])
	if err := command.Start(); err != nil {
		return 0, sdk.Errorf(sdk.Invalid, "%s: %w", r.path, err)
	}
	reading := readLines(out, line)
	if reading != nil {
		_ = command.Cancel() // an error means that it has ended by itself
	}
	err = command.Wait()
	said.end()
	if cause := context.Cause(ctx); cause != nil {
		return 0, cause
	}
	if reading != nil {
		return 0, reading
	}
	return said.vanished, r.outcome(err, said)
}

// longestLine is more than a path and what rsync says of it can be.
const longestLine = 64 << 10

func readLines(r io.Reader, line func(string) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 4096), longestLine)
	for lines.Scan() {
		if err := line(lines.Text()); err != nil {
			return err
		}
	}
	return lines.Err()
}

// outcome words how rsync ended (rsync(1), EXIT VALUES).
func (r *rsync) outcome(err error, said *complaints) error {
	var exit *exec.ExitError
	switch {
	case err == nil && said.serious == 0:
		return nil
	case err == nil:
		return sdk.Errorf(sdk.Unknown, "rsync complained: %s", said)
	case !errors.As(err, &exit):
		return err
	}
	code := exit.ExitCode()
	if (code == 23 || code == 24) && said.serious == 0 && said.vanished > 0 {
		return nil
	}
	kind, advice := sdk.Unavailable, ""
	text := said.String()
	has := func(phrases ...string) bool {
		for _, phrase := range phrases {
			if strings.Contains(text, phrase) {
				return true
			}
		}
		return false
	}
	switch {
	case has("Host key verification failed", "REMOTE HOST IDENTIFICATION HAS CHANGED"):
		kind, advice = sdk.Denied, "the key of PostgreSQL's host is not the one that ssh knows: find out why, then see ssh-keygen -R and 'ssh-keyscan', and try the ssh_command by hand"
	case has("Permission denied (publickey", "Permission denied, please try again", "Too many authentication failures"):
		kind, advice = sdk.Denied, "ssh is not let in: put barman's public key into authorized_keys of the user on PostgreSQL's host, and try the ssh_command by hand"
	case has("rsync: not found", "rsync: command not found", "rsync: No such file or directory", "Failed to exec rsync"):
		kind, advice = sdk.Invalid, "rsync is missing on PostgreSQL's host: install it there"
	case has("Failed to exec"):
		kind, advice = sdk.Invalid, "the first word of ssh_command is no command: try it by hand"
	case has("No space left on device", "Disk quota exceeded"):
		advice = "free some room where backups are stored"
	case code == 1, code == 2, code == 4, has("unknown option"):
		kind, advice = sdk.Invalid, fmt.Sprintf("rsync on PostgreSQL's host, or here, is too old: %d.%d or newer is needed", oldestMajor, oldestMinor)
	case code == 255:
		advice = "ssh could not connect, or lost the connection: try the ssh_command by hand"
	case code == 12:
		advice = "the connection broke, or something but rsync answered: the shell of the user there must print nothing"
	case code == 30, code == 35:
		advice = fmt.Sprintf("nothing came for %d seconds", ioTimeout)
	case has("Permission denied (13)", "Operation not permitted (1)"):
		kind, advice = sdk.Denied, "the user who copies must be able to read all files of the server, and write here"
	case has("change_dir", "No such file or directory (2)"):
		kind, advice = sdk.NotFound, "the directory is not there: does ssh_command, or this machine, lead to the host of conninfo?"
	}
	if text == "" {
		text = "it said nothing"
	}
	how := fmt.Sprintf("rsync ended with exit code %d", code)
	if code < 0 {
		how = "rsync was ended by a signal"
	}
	if advice != "" {
		return sdk.Errorf(kind, "%s: %s: %s", how, text, advice)
	}
	return sdk.Errorf(kind, "%s: %s", how, text)
}

// complaints are what rsync and ssh wrote to standard error.
type complaints struct {
	logger   hclog.Logger
	rest     []byte
	first    []string
	more     int
	vanished int
	serious  int // that make the copy worthless
}

// mostComplaints are kept for a message; the log has all.
const mostComplaints = 5

// Write takes lines.
func (c *complaints) Write(p []byte) (int, error) {
	c.rest = append(c.rest, p...)
	for {
		line, rest, found := bytes.Cut(c.rest, []byte("\n"))
		if !found && len(c.rest) < longestLine {
			return len(p), nil
		}
		c.line(strings.TrimSpace(string(line)))
		c.rest = rest
	}
}

func (c *complaints) end() {
	c.line(strings.TrimSpace(string(c.rest)))
	c.rest = nil
}

func (c *complaints) line(line string) {
	if line == "" {
		return
	}
	kind := judge(line)
	switch kind {
	case isSummary:
		return
	case isGone:
		c.vanished++
		c.logger.Debug("vanished while it was to be copied", "rsync", line)
		return
	case isSerious:
		c.serious++
	}
	c.logger.Warn(line, "from", "rsync")
	if len(c.first) == mostComplaints {
		c.more++
		return
	}
	c.first = append(c.first, line)
}

// String joins them in one line.
func (c *complaints) String() string {
	text := strings.Join(c.first, "; ")
	if c.more > 0 {
		text += fmt.Sprintf("; and %d more in the log", c.more)
	}
	return text
}

type judgement int

const (
	// isRemark is of ssh, or of a shell on the way.
	isRemark judgement = iota
	// isSummary repeats the exit code in words.
	isSummary
	// isGone tells of a file that vanished, or became shorter, during the copy, or
	// of a symbolic link that leads nowhere.
	isGone
	// isSerious is any other complaint of rsync.
	isSerious
)

var (
	summaryLine = regexp.MustCompile(`^rsync (error|warning): some files.* \(code (23|24)\) at `)
	goneLine    = regexp.MustCompile(`^(file has vanished: ".*"` +
		`|symlink has no referent: ".*"` +
		`|rsync: (\[\w+\] )?(link_stat|readlink_stat|open|send_files failed to open|opendir) ".*"( failed)?: No such file or directory \(2\)` +
		`|rsync: (\[\w+\] )?read errors mapping ".*": No data available \(61\)` +
		`|rsync: (\[\w+\] )?link ".*" => .* failed: Too many links \(31\))$`)
)

// judge tells what a line of standard error means.
func judge(line string) judgement {
	switch {
	case goneLine.MatchString(line):
		return isGone
	case summaryLine.MatchString(line):
		return isSummary
	case strings.HasPrefix(line, "rsync: "), strings.HasPrefix(line, "rsync error:"), strings.HasPrefix(line, "skipping "), strings.HasPrefix(line, "cannot "),
		strings.HasPrefix(line, "IO error"), strings.HasPrefix(line, "ERROR: "), strings.HasPrefix(line, "WARNING: "):
		return isSerious
	}
	return isRemark
}
