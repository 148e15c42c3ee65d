package cli

import "strings"

// otherWords are names people know from other mail tools.
func otherWords() map[string]string {
	return map[string]string{
		"folder": "mailbox", "label": "mailbox", "include": "mailbox", "skip": "exclude",
		"server": "host", "hostname": "host", "username": "user", "login": "user", "account": "user",
		"ssl": "tls", "starttls": "tls", "insecure": "insecure-skip-verify", "cafile": "ca-cert",
		"passfile": "password-file", "passcmd": "password-command", "pass-cmd": "password-command",
		"dryrun": "dry-run", "logfile": "log-file", "silent": "quiet", "debug": "verbose",
	}
}

// suggest returns the known word most likely meant, or "".
func suggest(word string, known []string) string {
	word = strings.ToLower(word)
	other := otherWords()[word]
	best, bestDistance := "", len(word)/2+1
	for _, k := range known {
		if other == k {
			return k
		}
		d := distance(word, k)
		if len(word) >= 3 && strings.HasPrefix(k, word) {
			d = 1
		}
		if d < bestDistance {
			best, bestDistance = k, d
		}
	}
	if bestDistance > 3 {
		return ""
	}
	return best
}

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
