// Package e2e tests the three programs as their users run them: built, started as processes, killed, run again,
// against real and embedded servers. It holds nothing but tests.
package e2e
