/** What a repository of the hub and its revisions may be called: both become parts of addresses and of folders here. */

const REPOSITORY = /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*$/;
const REVISION = /^[A-Za-z0-9][\w.-]*(\/[A-Za-z0-9][\w.-]*)*$/;

/** True for a name such as `org/name`. */
export function isRepositoryName(text: string): boolean {
  return REPOSITORY.test(text) && !/\.\.|--/.test(text) && text.length <= 200;
}

/** True for what may be a branch, a tag or a commit. */
export function isRevision(text: string): boolean {
  return REVISION.test(text) && !text.includes('..') && text.length <= 200;
}
