// Package kubetest starts a Kubernetes of etcd, API server and job controller on this
// machine, with a kubelet of its own that runs a pod's command as a process. It serves
// tests; the binaries come from tools/kube/build.sh.
package kubetest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	osexec "os/exec"
	"path/filepath"
	"syscall"
	"time"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// Namespace is where the kubelet runs pods.
const Namespace = "default"

// Cluster is a running cluster.
type Cluster struct {
	Client     kubernetes.Interface
	Kubeconfig string // file
	processes  []*osexec.Cmd
}

// Start starts a cluster that keeps its files in dir. etcd is on PATH, the others are in
// bin. Stop it in the end.
func Start(ctx context.Context, bin, dir string) (c *Cluster, err error) {
	c = &Cluster{Kubeconfig: filepath.Join(dir, "kubeconfig")}
	defer func() {
		if err != nil {
			c.Stop()
		}
	}()
	var ports [4]int
	for i := range ports {
		if ports[i], err = freePort(); err != nil {
			return c, err
		}
	}
	etcd := fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	peer := fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	if err := c.start(dir, "etcd", "--data-dir", filepath.Join(dir, "etcd"), "--listen-client-urls", etcd, "--advertise-client-urls", etcd,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer, "--unsafe-no-fsync"); err != nil {
		return c, err
	}
	key, err := writeKey(filepath.Join(dir, "accounts.key"))
	if err != nil {
		return c, err
	}
	token := rand.Text()
	tokens := filepath.Join(dir, "tokens.csv")
	if err := os.WriteFile(tokens, []byte(token+",admin,admin,system:masters\n"), 0o600); err != nil {
		return c, err
	}
	if err := c.start(dir, filepath.Join(bin, "kube-apiserver"), "--etcd-servers", etcd, "--secure-port", fmt.Sprint(ports[2]), "--bind-address", "127.0.0.1",
		"--cert-dir", filepath.Join(dir, "certs"), "--service-account-key-file", key, "--service-account-signing-key-file", key,
		"--service-account-issuer", "https://kubetest", "--authorization-mode", "RBAC", "--token-auth-file", tokens,
		"--disable-admission-plugins", "ServiceAccount", "--service-cluster-ip-range", "10.0.0.0/24"); err != nil {
		return c, err
	}
	server := fmt.Sprintf("https://127.0.0.1:%d", ports[2])
	config := api.NewConfig()
	config.Clusters["kubetest"] = &api.Cluster{Server: server, InsecureSkipTLSVerify: true}
	config.AuthInfos["admin"] = &api.AuthInfo{Token: token}
	config.Contexts["kubetest"] = &api.Context{Cluster: "kubetest", AuthInfo: "admin", Namespace: Namespace}
	config.CurrentContext = "kubetest"
	if err := clientcmd.WriteToFile(*config, c.Kubeconfig); err != nil {
		return c, err
	}
	c.Client, err = kubernetes.NewForConfig(&rest.Config{Host: server, BearerToken: token, TLSClientConfig: rest.TLSClientConfig{Insecure: true}, QPS: 100, Burst: 200})
	if err != nil {
		return c, err
	}
	if err := c.await(ctx, func() error {
		_, err := c.Client.CoreV1().Namespaces().Get(ctx, Namespace, meta.GetOptions{})
		return err
	}); err != nil {
		return c, fmt.Errorf("the API server does not answer: %w; its log is in %s", err, dir)
	}
	return c, c.start(dir, filepath.Join(bin, "kube-controller-manager"), "--kubeconfig", c.Kubeconfig, "--secure-port", fmt.Sprint(ports[3]),
		"--cert-dir", filepath.Join(dir, "certs-manager"), "--leader-elect=false",
		"--controllers", "job-controller,garbage-collector-controller,ttl-after-finished-controller")
}

func (c *Cluster) await(ctx context.Context, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (c *Cluster) start(dir, name string, args ...string) error {
	log, err := os.Create(filepath.Join(dir, filepath.Base(name)+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := osexec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", filepath.Base(name), err)
	}
	c.processes = append(c.processes, cmd)
	return nil
}

// Stop ends the cluster's processes.
func (c *Cluster) Stop() {
	for i := len(c.processes) - 1; i >= 0; i-- {
		p := c.processes[i]
		_ = p.Process.Signal(syscall.SIGKILL)
		_ = p.Wait()
	}
	c.processes = nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func writeKey(path string) (string, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	err = pem.Encode(io.Writer(f), &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	return path, errors.Join(err, f.Close())
}
