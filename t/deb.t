# The Debian package: built, free of lintian's errors, complete; as root also
# installed, enabled, given an event, and purged, after which the machine is as
# it was.  And the release's tarball, which is the same each time.

use FindBin;
use lib "$FindBin::Bin/lib";
use Fcntl qw(:flock);
use File::Spec;
use File::Temp qw(tempdir);
use Esputnik::Process qw(spawn wait_exit);
use Esputnik::Test;

BEGIN {
    # the package has its own module, and is for Debian's nginx
    $ENV{TEST_SLOW} ||= Esputnik::Env::slow_factor();
    delete @ENV{qw(TEST_ASAN TEST_PRELOAD TEST_VALGRIND TEST_MODULE)};
    $ENV{TEST_NGINX_BINARY} = '/usr/sbin/nginx';
    $ENV{PATH} .= ':/usr/sbin:/sbin';
}

my $name = 'libnginx-mod-http-esputnik';
my $folder = tempdir('esputnik-deb-XXXXXX', TMPDIR => 1, CLEANUP => 1);
mkdir root() . '/build';
open my $one_at_a_time, '>>', root() . '/build/.deb-test' or die "lock: $!\n";
flock $one_at_a_time, LOCK_EX or die "lock: $!\n";
# and of all checkouts on the machine, which has one place to install to
open my $one_on_the_machine, '>>', File::Spec->tmpdir . "/esputnik-deb-test-$>" or die "lock: $!\n";
flock $one_on_the_machine, LOCK_EX or die "lock: $!\n";

# (status, what it printed)
sub run
{
    my (@argv) = @_;
    my $out = "$folder/out";
    unlink $out;
    my $pid = spawn(\@argv, stderr => $out,
                    env => { DEBIAN_FRONTEND => 'noninteractive', LC_ALL => 'C' });
    my $status = wait_exit($pid, slow(600)) // 'no end';
    open my $in, '<', $out or return ($status, '');
    local $/;
    return ($status, scalar <$in> // '');
}

sub succeeds
{
    my ($what, @argv) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($status, $said) = run(@argv);
    is($status, 0, $what) or diag($said);
    return $said;
}

# What it is

$ENV{DEB_BUILD_OPTIONS} = 'nocheck';    # the unit tests have a run of their own
succeeds('./build.sh deb', 'bash', root() . '/build.sh', 'deb');
my @debs = glob root() . "/build/deb/${name}_*.deb";
is(scalar @debs, 1, 'one package') or die "no package\n";
my $deb = $debs[0];

my ($changes) = glob root() . '/build/deb/*.changes';
my $tags = succeeds('lintian: no errors', 'lintian', '--allow-root', '--fail-on', 'error', $changes);
is(join("\n", $tags =~ /^E: .*/mg), '', 'and says none');

like(succeeds('its fields', 'dpkg-deb', '-f', $deb, 'Depends'),
     qr/^(?=.*\bnginx-abi-)(?=.*\blibhiredis)(?=.*\blibyajl2)/, 'depends on the ABI of nginx');
succeeds('unpacked', 'dpkg-deb', '-x', $deb, "$folder/root");
my $doc = "usr/share/doc/$name";
for my $file ('usr/lib/nginx/modules/ngx_esputnik_module.so', 'usr/bin/esputnik-spool',
              'usr/share/man/man1/esputnik-spool.1.gz', "$doc/README.md", "$doc/copyright",
              "$doc/docs/directives.md", "$doc/examples/esputnik.conf",
              "$doc/examples/tools/replay.py", "$doc/examples/README.md",
              "$doc/examples/frameworks/sidekiq/nginx.conf",
              "$doc/examples/frameworks/celery/esputnik_tasks.py",
              "$doc/examples/frameworks/resque/worker.js",
              "$doc/examples/workers/python/worker.py",
              "$doc/examples/sender/esputnik-sender.py",
              'usr/share/nginx/modules-available/mod-http-esputnik.conf')
{
    ok(-s "$folder/root/$file", $file);
}
# The pages of the package lead to each other and to the examples.  The manual
# page is in its own place, and the benchmarks are with the sources.
my ($links, @nowhere);
for my $page (map { glob "$folder/root/$doc/$_" } 'docs/*.md', 'docs/monitoring/*.md', 'examples/*.md') {
    open my $in, '<', $page or die "$page: $!\n";
    my $text = do { local $/; <$in> };
    my $in_folder = $page =~ s{[^/]*\z}{}r;
    while ($text =~ /\]\((?!https?:)([^)#\s]+)/g) {
        my $to = $1;
        next if $to =~ m{^man/|^\.\./bench/};
        $links++;
        push @nowhere, substr($page, length "$folder/root/$doc/") . " to $to" unless -e "$in_folder/$to";
    }
}
cmp_ok($links, '>', 30, 'its pages have links');
is(join("\n", @nowhere), '', 'and each leads somewhere');

is(-x "$folder/root/usr/bin/esputnik-spool" ? 1 : 0, 1, 'the tool can be run');
like(succeeds('esputnik-spool --version', "$folder/root/usr/bin/esputnik-spool", '--version'),
     qr/journal version/, 'and says which it is');
is_deeply([sort map { (split)[-1] } split /\n/,
           succeeds('its symbols', 'nm', '-D', '--defined-only',
                    "$folder/root/usr/lib/nginx/modules/ngx_esputnik_module.so")],
          [qw(ngx_module_names ngx_module_order ngx_modules)], 'only those that nginx looks for');

# The example, with the ports of this test: an event goes through.

my $redis = redis();

sub serves
{
    my ($what, $root, $load) = @_;
    my $nginx = Esputnik::Nginx->new(module => 0);
    symlink "$root/usr/lib/nginx/modules", $nginx->prefix . '/modules';
    open my $in, '<', "$root/$doc/examples/esputnik.conf" or die "example: $!\n";
    my $example = do { local $/; <$in> };
    my ($port, $p) = ($nginx->port, $redis->port);
    ok($example =~ s/listen 127\.0\.0\.1:8088;/listen 127.0.0.1:$port;/
       && $example =~ s{127\.0\.0\.1:6379}{127.0.0.1:$p}, "$what: the example");
    $nginx->configure(main => $load, http => $example);
    # it has a server of its own
    $nginx->write('nginx.conf', $nginx->config =~ s/^server \{\nlisten [^\n]*\n\}\n//mr);
    my ($status, $said) = $nginx->test;
    is($status, 0, "$what: nginx -t") or diag($said);
    $nginx->launch;
    $redis->flush;
    accepted($nginx->post('/webhooks/esputnik', events(1)), 1, "$what: takes an event");
    list_is($redis, 'esputnik:events', [event(1)], "$what: stores it");
    $nginx->stop;
}

serves('unpacked', "$folder/root", 'load_module modules/ngx_esputnik_module.so;');

# Installed

sub installed { return (run('dpkg-query', '-W', '-f', '${db:Status-Status}', $name))[1] eq 'installed' }

# what the package may touch outside of its own files
sub machine { return (run('find', '/etc/nginx', '/usr/share/nginx', '/usr/lib/nginx', '-ls'))[1]
                  =~ s/^ *\d+ +\d+ d.*\n//mgr }

# dpkg, once nobody else is at it
sub dpkg
{
    my (@argv) = @_;
    my ($status, $said);
    wait_for(sub {
        ($status, $said) = run('dpkg', @argv);
        return $status == 0 || $said !~ /\block\b/;
    }, slow(120), 1);
    return ($status, $said);
}

my $ours;    # the package is here by this test
if ($> != 0 || installed()) {
    my $why = $> ? 'this is not root' : 'it is installed here already';
    diag("$why: the package was tried unpacked, not installed");
    # .ci/run says so when it is root: what it can do it must not leave out
    ok(!$ENV{TEST_ROOT}, "the package was installed and purged, or need not be (TEST_ROOT): $why");
} else {
    my $before = machine();
    my $enabled = '/etc/nginx/modules-enabled/50-mod-http-esputnik.conf';
    $ours = 1;
    my ($status, $said) = dpkg('-i', $deb);
    is($status, 0, 'dpkg -i') or diag($said);
    is(readlink $enabled // '', '/usr/share/nginx/modules-available/mod-http-esputnik.conf',
       'the module is enabled');
    my $system = succeeds('nginx -t, the configuration of the machine', 'nginx', '-t');
    serves('installed', '', "include $enabled;");
    like(succeeds('the tool', 'esputnik-spool', '--version'), qr/journal/, 'is in the path');

    ($status, $said) = dpkg('--purge', $name);
    is($status, 0, 'dpkg --purge') or diag($said);
    $ours = 0;
    ok(!installed(), 'it is gone');
    is(machine(), $before, "nginx' folders are as they were");
    succeeds('nginx -t, without it', 'nginx', '-t');
}

# The tarball

if (-e root() . '/.git') {
    my @sums = map {
        succeeds('./build.sh dist', 'bash', root() . '/build.sh', 'dist');
        my ($sum) = glob root() . '/build/dist/*.sha256';
        open my $in, '<', $sum or die "$sum: $!\n";
        scalar <$in>;
    } 1, 2;
    is($sums[0], $sums[1], 'twice the same bytes');
    my ($tarball, $version) = $sums[0] =~ /(ngx_esputnik_module-([\d.]+)\.tar\.gz)/;
    ok($deb =~ /_\Q$version\E-/, "the package's version");
    my $list = succeeds('it can be read', 'tar', 'tzf', root() . "/build/dist/$tarball");
    like($list, qr{^ngx_esputnik_module-\Q$version\E/\Q$_\E$}m, $_)
        for qw(README.md config build.sh debian/rules src/core/esputnik_parser.cpp);
    unlike($list, qr{/(?:build|\.git)/}, 'and nothing that is made');
} else {
    my ($status, $said) = run('bash', root() . '/build.sh', 'dist');
    isnt($status, 0, 'no tarball without git');
    like($said, qr/no git checkout/, 'which is said');
}

finish();

END { dpkg('--purge', $name) if $ours }
