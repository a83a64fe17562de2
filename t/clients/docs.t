# Every snippet of docs/consumers.md: the nginx lines are this test's
# configuration, the commands and programs are run in their order and print
# what the page says ("..." stands for anything within a line).

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/lib";
use File::Temp qw(tempdir);
use Esputnik::Process qw(spawn wait_exit);
use Esputnik::Test;
use Consumer;

open my $in, '<', root() . '/docs/consumers.md' or die "consumers.md: $!\n";
my @blocks;
{
    local $/;
    my $text = <$in>;
    push @blocks, [$1, $2] while $text =~ /^```(\w+)\n(.*?)^```$/msg;
    is(scalar(() = $text =~ /^```/mg), 2 * @blocks, 'every snippet is closed');
}

my $redis = redis();
my $url = $redis->url . '/0';
my $locations = join "\n", map { $_->[1] } grep { $_->[0] eq 'nginx' } @blocks;
my $n = $locations =~ s{redis://127\.0\.0\.1:6379/0}{$url}g;
cmp_ok($n, '>=', 5, 'the page has configuration');
my $nginx = nginx(vars => { URL => $url },
                  server => "location /webhooks/esputnik { esputnik_pass %%URL%%; }\n"
                            . $locations);

# The page's addresses are the test's.
my $folder = tempdir('esputnik-docs-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my %tool = (
    'redis-cli' => redis_binary('cli') . ' -p ' . $redis->port,
    curl => 'curl --connect-to localhost:80:127.0.0.1:' . $nginx->port,
);
for (sort keys %tool) {
    my ($name, @words) = split / /, $tool{$_};
    my ($path) = grep { -x } map { "$_/$name" } split /:/, $ENV{PATH};
    open my $out, '>', "$folder/$_" or die "$_: $!\n";
    print $out qq(#!/bin/sh\nexec $path @words "\$@"\n);
    close $out;
    chmod 0755, "$folder/$_";
}

sub run
{
    my (@argv) = @_;
    my $pid = spawn(['sh', '-c', 'cd "$1"; shift; exec "$@" >"$0.out"', "$folder/run",
                     root(), @argv],
                    stderr => "$folder/run.err",
                    env => { PATH => "$folder:$ENV{PATH}", REDIS_URL => $url,
                             PYTHONDONTWRITEBYTECODE => 1 });
    my $status = wait_exit($pid, slow(20)) // -1;
    my %text;
    for my $what (qw(out err)) {
        open my $file, '<', "$folder/run.$what" or next;
        local $/;
        $text{$what} = <$file> // '';
    }
    return ($status, $text{out}, $text{err});
}

my $ran = 0;
for my $i (0 .. $#blocks) {
    my ($kind, $code) = @{ $blocks[$i] };
    my @argv = $kind eq 'sh' ? ('bash', '-euo', 'pipefail', '-c')
             : $kind eq 'python' ? ($Consumer::python, '-c')
             : next;
    my ($title) = $code =~ /\A(.{1,60})/;
    my ($status, $out, $err) = run(@argv, $code);
    is($status, 0, "$kind: $title") || diag($err);
    $ran++;

    my $next = $blocks[$i + 1];
    next unless $next && $next->[0] eq 'text';
    my $want = join '[^\n]*?', map { quotemeta } split /\.\.\./, $next->[1], -1;
    $out =~ s/\n+(?=\n)//g;    # redis-cli ends an error with an empty line
    $out =~ s/\s*\z/\n/;
    like($out, qr/\A$want\z/, 'prints what the page says');
}
cmp_ok($ran, '>=', 10, 'snippets were run');

my %known = map { $_ => 1 } qw(sh text python nginx);
is(join(' ', grep { !$known{$_} } map { $_->[0] } @blocks), '', 'no other kinds');

# The page's links within the repository lead somewhere.
open $in, '<', root() . '/docs/consumers.md';
my @dead = grep { !-e root() . "/docs/$_" }
    map { /\]\((\.\.\/[^)#]+)/g } <$in>;
is(join(' ', @dead), '', 'the files it points to are there');

finish();
