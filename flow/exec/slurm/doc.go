// Package slurm runs tasks as jobs of a Slurm cluster, by its command line. The
// coordinator, a login node say, and the nodes share a file system; a task is a
// [job.Folder] on it. The result in that folder is the truth about a task. What Slurm
// says only explains why there is none: a query that fails and a job that is not listed
// change nothing at once.
package slurm
