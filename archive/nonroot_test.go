//go:build unix

package archive_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// TestRecoveryWithoutRoot runs the tests of recovery once more as a user who cannot write to read-only files, as
// sealed segments are. Root can, and would hide it.
func TestRecoveryWithoutRoot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not root: the other tests have shown it")
	}
	dir, err := os.MkdirTemp("", "mailark-nonroot-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program := filepath.Join(dir, "archive.test")
	if err := copyProgram(program); err != nil {
		t.Fatal(err)
	}
	tmp := filepath.Join(dir, "tmp")
	for _, step := range []error{os.Chmod(dir, 0o755), os.Mkdir(tmp, 0o700), os.Chown(tmp, 65534, 65534)} {
		if step != nil {
			t.Fatal(step)
		}
	}
	cmd := exec.CommandContext(t.Context(), program, "-test.run", "^(TestOldCatalog|TestRottenLastCommit|TestRoundTrip|TestTornTail|TestRepairRescuesAll|TestRebuildMakesInfo)$")
	cmd.Dir = tmp
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// copyProgram copies this test program to where everybody can run it.
func copyProgram(to string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	in, err := os.Open(self)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Close()
}
