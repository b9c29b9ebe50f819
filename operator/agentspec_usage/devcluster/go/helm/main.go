// Command helm is Helm's own command line, unchanged.
package main

import (
	"errors"
	"log/slog"
	"os"

	"helm.sh/helm/v4/pkg/cmd"
	"helm.sh/helm/v4/pkg/kube"
)

func main() {
	// Fields that helm applies are owned by this name, as by a released helm.
	kube.ManagedFieldsManager = "helm"

	root, err := cmd.NewRootCmd(os.Stdout, os.Args[1:], cmd.SetupLogging)
	if err != nil {
		slog.Error("helm could not start", slog.Any("error", err))
		os.Exit(1)
	}
	if err := root.Execute(); err != nil {
		// A plugin's exit code is passed on, as a released helm does.
		if failed, ok := errors.AsType[cmd.CommandError](err); ok {
			os.Exit(failed.ExitCode)
		}
		os.Exit(1)
	}
}
