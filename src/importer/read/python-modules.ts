/**
 * The top-level modules that come with Python (`sys.stdlib_module_names` of 3.11, and those of Python 2 that are gone), and builtins.
 *
 * A class that a checkpoint names out of one of these is no class of the training project's own: its name has to be on the list of what
 * checkpoints need.
 */
const MODULES: ReadonlySet<string> = new Set(
  `abc aifc antigravity argparse array ast asynchat asyncio asyncore atexit audioop base64 bdb binascii bisect builtins bz2 cPickle cProfile
  cStringIO calendar cgi cgitb chunk cmath cmd code codecs codeop collections colorsys commands compileall concurrent configparser contextlib
  contextvars copy copy_reg copyreg crypt csv ctypes curses dataclasses datetime dbm decimal difflib dis distutils doctest dummy_thread email
  encodings ensurepip enum errno exceptions faulthandler fcntl filecmp fileinput fnmatch fractions ftplib functools gc genericpath getopt
  getpass gettext glob graphlib grp gzip hashlib heapq hmac html http httplib idlelib imaplib imghdr imp importlib imputil inspect io
  ipaddress itertools json keyword lib2to3 linecache locale logging lzma mailbox mailcap marshal math mimetypes mmap modulefinder msilib
  msvcrt multiprocessing netrc nis nntplib nt ntpath nturl2path numbers opcode operator optparse os ossaudiodev pathlib pdb pickle
  pickletools pipes pkgutil platform plistlib popen2 poplib posix posixpath pprint profile pstats pty pwd py_compile pyclbr pydoc pydoc_data
  pyexpat Queue queue quopri random re readline reprlib resource rlcompleter runpy sched secrets select selectors shelve shlex shutil signal
  site smtpd smtplib sndhdr socket SocketServer socketserver spwd sqlite3 sre_compile sre_constants sre_parse ssl stat statistics string
  StringIO stringprep struct subprocess sunau symtable sys sysconfig syslog tabnanny tarfile telnetlib tempfile termios textwrap this thread
  threading time timeit tkinter token tokenize tomllib trace traceback tracemalloc tty turtle turtledemo types typing unicodedata unittest
  urllib urllib2 UserDict UserList UserString uu uuid venv warnings wave weakref webbrowser winreg winsound wsgiref xdrlib xml xmlrpc
  xmlrpclib zipapp zipfile zipimport zlib zoneinfo`
    .trim()
    .split(/\s+/),
);

/** Whether a dotted module belongs to Python itself. `__main__` does not: it is the training script. */
export function isPythonModule(module: string): boolean {
  const [root = ''] = module.split('.');
  // Every top-level name of Python that begins with an underscore is private to it.
  return MODULES.has(root) || (root.startsWith('_') && root !== '__main__');
}
