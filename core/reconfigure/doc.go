// Package reconfigure carries out changes of the configuration that programs ask
// for: models that are laid over servers, and settings.
//
// Changes of settings go through a queue, a file: what was accepted is carried out
// by the next one to look if the process is killed in between. To carry out a change
// twice is to carry it out once.
package reconfigure
