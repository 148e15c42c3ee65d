package main

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"mailark/archive"
	"mailark/internal/cli"
	"mailark/internal/spool"
)

func showCommand() *cli.Command {
	var sum string
	fs := cli.NewFlags()
	fs.StringVar(&sum, "sha256", "", "the message with this `SUM`, instead of MAILBOX and UID")
	return &cli.Command{
		Name: "mailark show", Args: "ARCHIVE [MAILBOX UID]", MinArgs: 1, MaxArgs: 3,
		Short: "write one message to stdout, octet by octet as the server sent it",
		About: "Writes the octets of one message to stdout exactly as the server sent them. They may hold\n" +
			"control characters: send them to a file or a pager.",
		Sections: []cli.Section{{Title: "Flags", Flags: fs}},
		Run: func(ctx context.Context, con *cli.Console, args []string) (int, error) {
			if (sum == "") == (len(args) != 3) || len(args) == 2 {
				return 0, &cli.UsageError{
					Text: "show wants MAILBOX and UID, or --sha256 SUM",
					Hint: "mailark list ARCHIVE MAILBOX shows the UIDs",
				}
			}
			r, err := archive.Open(args[0], options(con))
			if err != nil {
				return 0, err
			}
			defer func() { _ = r.Close() }()
			msg, err := findMessage(r, sum, args[1:])
			if err != nil {
				return 0, err
			}
			return cli.ExitComplete, show(ctx, con.Stdout, r, msg)
		},
	}
}

func findMessage(r *archive.Reader, sum string, args []string) (*archive.Message, error) {
	if sum != "" {
		s, err := archive.ParseSum(sum)
		if err != nil {
			return nil, &cli.UsageError{Text: "--sha256: " + err.Error()}
		}
		if msg := r.BySum(s); msg != nil {
			return msg, nil
		}
		return nil, &cli.UsageError{Text: "no message with SHA-256 " + sum + " in the archive"}
	}
	uid, err := strconv.ParseUint(args[1], 10, 32)
	if err != nil || uid == 0 {
		return nil, &cli.UsageError{Text: fmt.Sprintf("%q is no UID", args[1])}
	}
	found, err := findMailboxes(r, args[0])
	if err != nil {
		return nil, err
	}
	for _, m := range found {
		for i := len(m.Epochs) - 1; i >= 0; i-- {
			k := archive.Key{Mailbox: m.ID, Epoch: m.Epochs[i].N, UID: uint32(uid)}
			if msg := r.Message(k); msg != nil {
				return msg, nil
			}
		}
	}
	return nil, &cli.UsageError{
		Text: fmt.Sprintf("no message with UID %d in %q", uid, args[0]),
		Hint: fmt.Sprintf("mailark list %s %q shows the UIDs", r.Dir(), args[0]),
	}
}

// show writes a message only once its SHA-256 was found right.
func show(ctx context.Context, w io.Writer, r *archive.Reader, msg *archive.Message) error {
	sp := spool.New("")
	defer func() { _ = sp.Close() }()
	if err := r.Load(ctx, msg, sp); err != nil {
		return fmt.Errorf("read message uid %d: %w", msg.UID, err)
	}
	if _, err := io.Copy(w, sp.Open()); err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	return nil
}
