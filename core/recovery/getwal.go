package recovery

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/barman-go/barman/core/hostfs"
	"github.com/barman-go/barman/sdk"
)

// GetWAL is how the recovered server fetches WAL from Barman while it recovers,
// file by file, instead of finding a copy beside its data.
type GetWAL struct {
	// Executable is the absolute path of barman, which a server on Barman's host
	// runs.
	Executable string
	// Configuration is the absolute path of the configuration file that barman
	// must be given; empty for one that it finds by itself.
	Configuration string
	// Host is Barman's host as the recovered server's host knows it, where
	// barman-wal-restore has to be installed; empty when both are one.
	Host string
	// User is whom barman-wal-restore logs in as on Host; empty stands for the
	// owner of the catalogue.
	User string
	// Port is where the SSH server of Host listens; 0 leaves it to ssh.
	Port int
}

// validate refuses what ssh would take for something else.
func (g GetWAL) validate() error {
	switch {
	case g.Host == "" && g.User+strconv.Itoa(g.Port) != "0":
		return sdk.Errorf(sdk.Invalid, "a user or port to fetch WAL from needs Barman's host")
	case g.Host != "" && !plausible(g.Host), g.User != "" && !plausible(g.User):
		return sdk.Errorf(sdk.Invalid, "fetch WAL from %q: give a host, or a user and a host as in barman@backup.example.com", strings.TrimPrefix(g.User+"@"+g.Host, "@"))
	case g.Port < 0 || g.Port > 65535:
		return sdk.Errorf(sdk.Invalid, "port %d: it is a number from 1 to 65535", g.Port)
	}
	return nil
}

// plausible tells whether something may be the name of a host or a user: ssh
// takes what begins with a dash for an option, and cuts at an @.
func plausible(name string) bool {
	return name != "" && !strings.HasPrefix(name, "-") && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '@' })
}

// restoreCommand decides on the restore_command that fetches WAL from Barman.
//
// The last segment that was received is not whole. A recovery ends with what
// there is of it; a standby goes on, and gets it once it is whole, or streams.
func (r *run) restoreCommand() (string, error) {
	get, partial := r.request.GetWAL, !r.request.Standby
	catalogueOwner, err := hostfs.Local{}.Owner(r.server.Catalogue.Layout().BackupDirectory)
	if err != nil {
		return "", err
	}
	if get.Host != "" {
		as := get.User
		if as == "" {
			if as, err = userName(catalogueOwner.User); err != nil {
				return "", sdk.Errorf(sdk.Invalid, "fetch WAL from %s: %w: give a user and a host, as in barman@%s", get.Host, err, get.Host)
			}
		}
		return get.overSSH(r.server.Name(), as, partial, r.line.Lanes), nil
	}
	var through []string
	if uid, known := r.postgresUser(); !known || uid != catalogueOwner.User {
		as, err := userName(catalogueOwner.User)
		if err != nil {
			as = "#" + strconv.FormatUint(uint64(catalogueOwner.User), 10) // as sudo writes it
		}
		through = []string{"sudo", "-n", "-u", as}
		r.warn("the catalogue belongs to user %s, and PostgreSQL will run as another one: restore_command therefore goes through sudo. "+
			"Let PostgreSQL's user do that before you start it, with a line such as 'postgres ALL=(%s) NOPASSWD: %s' in /etc/sudoers.d/barman (sudo 1.9.10 or newer)",
			as, as, get.permission(r.server.Name(), partial))
	}
	return get.onThisHost(through, r.server.Name(), partial), nil
}

// postgresUser is whom PostgreSQL will run as: the owner of its data directory.
// It is not known while that is root, as whom PostgreSQL refuses to run.
func (r *run) postgresUser() (uid uint32, known bool) {
	if self := os.Geteuid(); self != 0 {
		return uint32(self), true
	}
	return r.owner.User, r.owner.User != 0
}

// exitUnfetched is what restore_command ends with when WAL could not be fetched:
// PostgreSQL takes an exit code above 125 for a failure that recovery must not go
// on after, and one below for the end of the archive (PostgreSQL manual, section
// 25.3.4). It is that of barman get-wal for a barman out of reach.
const exitUnfetched = 202

func (g GetWAL) onThisHost(through []string, server string, partial bool) string {
	words := g.words(server, partial)
	command := quoteWords(slices.Concat(through, words)) + " %f > %p"
	if len(through) == 0 || !partial {
		return command // which sees by itself whether PostgreSQL would end recovery; a standby asks again
	}
	// As another user it cannot look into the data directory, and sudo says with the
	// very code for a missing file that it is not allowed.
	allowed := quoteWords(slices.Concat(through[:1], []string{"-l"}, through[1:], words)) + " %f > /dev/null"
	return fmt.Sprintf("%s || exit %d; %s || case $? in 1) exit 1;; *) exit %d;; esac", allowed, exitUnfetched, command, exitUnfetched)
}

// words are the command up to the name of the file.
func (g GetWAL) words(server string, partial bool) []string {
	words := []string{g.Executable}
	if g.Configuration != "" {
		words = append(words, "-c", g.Configuration)
	}
	words = append(words, "get-wal")
	if partial {
		words = append(words, "-P")
	}
	return append(words, server)
}

// permission is the command as sudoers allows it: with the name of a WAL file and
// no other argument, such as another configuration, which could run anything.
func (g GetWAL) permission(server string, partial bool) string {
	return g.Executable + " ^" + regexp.QuoteMeta(strings.Join(g.words(server, partial)[1:], " ")) + " [0-9A-Za-z.]+$"
}

func (g GetWAL) overSSH(server, as string, partial bool, jobs int) string {
	words := []string{"barman-wal-restore"}
	if partial {
		words = append(words, "-P")
	}
	words = append(words, "-U", as)
	if g.Port != 0 {
		words = append(words, "--port", strconv.Itoa(g.Port))
	}
	if g.Configuration != "" {
		words = append(words, "-c", g.Configuration)
	}
	command := quoteWords(append(words, g.Host, server)) + " %f %p"
	if jobs > 1 {
		command += " -p " + strconv.Itoa(jobs)
	}
	return command
}

func quoteWords(words []string) string {
	quoted := make([]string, 0, len(words))
	for _, word := range words {
		quoted = append(quoted, quoteShell(word))
	}
	return strings.Join(quoted, " ")
}

// userName is the name of a user of this host.
func userName(uid uint32) (string, error) {
	found, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	var unknown user.UnknownUserIdError
	switch {
	case errors.As(err, &unknown), errors.Is(err, fs.ErrNotExist): // also without /etc/passwd
		return "", sdk.Errorf(sdk.NotFound, "the owner of the catalogue, user %d, has no name on this host", uid)
	case err != nil:
		return "", err
	}
	return found.Username, nil
}
