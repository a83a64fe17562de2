# The documents against the sources: each directive, line of the esputnik_redis
# block and variable has its section and the other way round; each nginx example
# passes nginx -t; each link between the documents leads somewhere.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

sub slurp
{
    my ($name) = @_;
    open my $in, '<', root() . "/$name" or die "$name: $!\n";
    local $/;
    return scalar <$in>;
}

sub names { my ($pattern) = @_; return map { s{^\Q@{[root()]}/}{}r } glob root() . "/$pattern" }

# a document's sections: [level, heading, text]
sub sections
{
    my ($text) = @_;
    my (@sections, $fence);
    for my $line (split /^/, $text) {
        $fence = !$fence if $line =~ /^```/;
        if (!$fence && $line =~ /^(#+) +(.*?)\s*$/) {
            push @sections, [length $1, $2, ''];
        } elsif (@sections) {
            $sections[-1][2] .= $line;
        }
    }
    return @sections;
}

my $sources = join '', map { slurp($_) } 'ngx_esputnik_module.cpp', names('src/nginx/*.cpp');

# The directives

my %command;
{
    my ($table) = slurp('ngx_esputnik_module.cpp') =~ /ngx_command_t commands\[\] = \{(.*?)\n\};/s;
    while ($table =~ /ngx_string\("(\w+)"\),\s*(.*?),\s*\w+,\s*(?:NGX_\w+|0),/sg) {
        $command{$1} = $2;
    }
    cmp_ok(scalar keys %command, '>=', 20, 'the table of commands is found');
}

# The lines of the block, from the tables that its reader goes through.
my %line;
while ($sources =~ /^const (?:Block)?Line \w+\[\] = \{(.*?)\n\};/msg) {
    my $table = $1;
    $line{$_} = 1 for $table =~ /\{ngx_string\("(\w+)"\)/g;
}
cmp_ok(scalar keys %line, '>=', 9, "the block's lines are found");

my @sections = sections(slurp('docs/directives.md'));
my (%described, %described_line, $in_block);
for my $s (@sections) {
    my ($level, $heading, $text) = @$s;
    $in_block = $heading eq 'Inside esputnik_redis' if $level == 2;
    $described{$heading} = $text if $level == 2 && $heading =~ /^esputnik_/;
    $described_line{$heading} = $text if $level == 3 && $in_block;
}
is(join(' ', sort keys %described), join(' ', sort keys %command),
   'a section for each directive, and for no other');
is(join(' ', sort keys %described_line), join(' ', sort keys %line),
   'a section for each line of the block, and for no other');

sub contexts
{
    my ($flags) = @_;
    return 'http, server, location' if $flags =~ /kAnywhere/;
    my @words = ('NGX_HTTP_MAIN_CONF', 'http', 'NGX_HTTP_SRV_CONF', 'server',
                 'NGX_HTTP_LOC_CONF', 'location', 'NGX_HTTP_SIF_CONF', 'if in server',
                 'NGX_HTTP_LIF_CONF', 'if in location', 'NGX_HTTP_LMT_CONF', 'limit_except');
    my @found;
    while (my ($flag, $word) = splice @words, 0, 2) {
        push @found, $word if $flags =~ /\b$flag\b/;
    }
    return join ', ', @found;
}

sub row { my ($text, $name) = @_; return $text =~ /^\| $name \|(.*)\|$/m ? $1 =~ s/^ +| +$//gr : undef }

my $nginx = Esputnik::Nginx->new;
my $prefix = $nginx->prefix;

# nginx -t of text in http and text in server
sub passes
{
    my ($name, $http, $server) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $nginx->configure(http => $http, server => $server);
    my ($status, $said) = $nginx->test;
    return is($status, 0, $name) || diag($said);
}

my $pass = 'location = /p { esputnik_pass redis://127.0.0.1; }';
for my $name (sort(keys %command), sort keys %line) {
    my $of_block = !$command{$name};
    my $text = $described{$name} // $described_line{$name} // next;
    my @wrong;
    my ($syntax, $default, $context) = map { row($text, $_) } qw(Syntax Default Context);
    if (!defined $syntax || !defined $default || !defined $context) {
        fail("$name: Syntax, Default and Context");
        next;
    }
    my $want = $of_block ? 'esputnik_redis' : contexts($command{$name});
    push @wrong, "Context is $context, not $want" if $context ne $want;
    for (split /<br>/, $syntax) {
        push @wrong, "Syntax: $_" unless /^`\Q$name\E .*(?:;|\{ \.\.\. \})`$/ || /^`\Q$name\E;`$/;
    }
    push @wrong, 'no example' if !$of_block && $text !~ /^```nginx\n[^`]*\b$name\b/m;
    is(join("\n", @wrong), '', "$name: its section");

    next unless $default =~ /^`(.*)`$/;
    my $line = $1;
    if ($of_block) {
        $line = "tls on; $line" if $name =~ /^tls_/;
        passes("$name: its default", "esputnik_redis b { server 127.0.0.1; $line }",
               'location = /p { esputnik_pass b; }');
    } else {
        my $main = $command{$name} =~ /MAIN/;
        passes("$name: its default", $main ? $line : '', $main ? $pass : "$line $pass");
    }
}

# The variables

my %variable;
{
    my $code = slurp('src/nginx/ngx_esputnik_variables.cpp');
    my ($table) = $code =~ /const Named named\[\] = \{(.*?)\n\};/s;
    $variable{$_} = 'named' for $table =~ /\{"(\w+)", get_/g;
    cmp_ok(scalar keys %variable, '>=', 9, 'the variables are found');

    my %type = (string => 'string', integer => 'integer, 64 bits', boolean => 'boolean',
                container => 'object or array', string_array => 'array of strings');
    my $fields = slurp('include/esputnik_fields.h');
    my @rows;
    while ($fields =~ /^    \{"(\w+)", "(\w+)", FieldType::(\w+)\},/mg) {
        my ($json, $snake, $kind) = ($1, $2, $3);
        my $scalar = $kind !~ /container|array/;
        push @rows, "| `$json` | $type{$kind} | " . ($scalar ? "`\$esputnik_$snake` |" : '|');
    }
    cmp_ok(scalar @rows, '>=', 33, 'the fields are found');
    my ($section) = grep { $_->[1] eq 'Fields of the event' } sections(slurp('docs/variables.md'));
    is(join("\n", grep { /^\| `/ } split /\n/, $section->[2]), join("\n", @rows),
       'the table of fields is that of the sources');
}
is(join(' ', sort map { $_->[1] =~ /^\$esputnik_(\w+)$/ ? $1 : () }
                      sections(slurp('docs/variables.md'))),
   join(' ', sort keys %variable), 'a section for each other variable, and for no other');

# The examples

# "a; b { … }" => (['a', 'a;'], ['b', 'b { … }'])
sub statements
{
    my ($text) = @_;
    my (@found, $depth, $start);
    my $at = 0;
    ($depth, $start) = (0, 0);
    while ($text =~ /\G(?:\s+|#[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\$\{|[{};]|[^\s"'{};]+)/gc) {
        my $token = $&;
        if ($token eq '{') { $depth++ }
        elsif ($token eq '}') { $depth-- }
        if (($token eq ';' || $token eq '}') && $depth == 0) {
            my $one = substr $text, $start, pos($text) - $start;
            $start = pos $text;
            push @found, [$one =~ /^(?:\s|#[^\n]*\n)*(\w+)/, $one];
        }
    }
    die "not a whole example\n" if $depth != 0 || (pos($text) // 0) < length($text =~ s/\s+\z//r);
    return @found;
}

# what the machine of a test does not have
my $listen = Esputnik::Port::free_port();
mkdir "$prefix/$_", 0700 for qw(etc var);
$nginx->write("etc/$_", "secret\n") for qw(esputnik.tokens redis.password sentinel.password);
{
    my $pid = Esputnik::Process::spawn(
        [qw(openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost),
         -keyout => "$prefix/etc/key.pem", -out => "$prefix/etc/cert.pem"],
        stderr => "$prefix/openssl.out");
    is(Esputnik::Process::wait_exit($pid, slow(30)), 0, 'a certificate for the examples');
}

sub example
{
    my ($name, $text) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my %place = (http => "ssl_certificate $prefix/etc/cert.pem;\n"
                         . "ssl_certificate_key $prefix/etc/key.pem;\nresolver 127.0.0.1;\n",
                 server => '');
    # a file that is no secret in the examples is a certificate
    for ($text) {
        s{\blisten\s+(?:[\d.]+:)?\d+}{listen 127.0.0.1:$listen}g;
        s{/etc/nginx/([\w.-]+)\.(tokens?|passwords?)\b}{$prefix/etc/$1.$2}g;
        s{/etc/ssl/private/[\w./-]+}{$prefix/etc/key.pem}g;
        s{/etc/(?:ssl|nginx)/[\w./-]*key[\w.]*}{$prefix/etc/key.pem}g;
        s{/etc/(?:ssl|nginx)/[\w./-]+\.(?:pem|crt)}{$prefix/etc/cert.pem}g;
        s{/var/(?:log|lib|spool)/nginx/}{$prefix/var/}g;
    }
    my @todo = eval { statements($text) };
    if (!@todo) {
        fail("$name: $@");
        return;
    }
    # a whole nginx.conf
    @todo = map { $_->[0] eq 'http' ? statements($_->[1] =~ s/\A.*?\{(.*)\}\s*\z/$1/sr) : $_ }
            grep { $_->[0] !~ /^(?:load_module|events)$/ } @todo;
    for (@todo) {
        my ($word, $one) = @$_;
        my $http = $word =~ /^(?:server|map|log_format|upstream|esputnik_redis|esputnik_zone)$/;
        $place{ $http ? 'http' : 'server' } .= "$one\n";
    }
    # directives that a location inherits want one
    $place{server} .= $pass if "@{[ %place ]}" !~ /esputnik_pass|esputnik_status/;
    passes($name, $place{http}, $place{server});
}

for my $name ('README.md', 'SECURITY.md', names('docs/*.md'), names('docs/*/*.md')) {
    my $text = slurp($name);
    my $n = 0;
    while ($text =~ /^```nginx\n(.*?)^```$/msg) {
        example("$name: nginx example " . ++$n, $1);
    }
}
example($_, slurp($_)) for names('examples/nginx/*.conf');

# The answer that directives.md shows

{
    my ($json) = slurp('docs/directives.md') =~ /^```json\n(.*?)\n```$/ms;
    my $live = nginx(server => $pass);
    my $r = $live->post('/p', '[{"contactId":"seven"}]');
    is($r->{body}, $json, 'the problem shown is what is answered');
}

# The links

my %anchors;
sub anchors
{
    my ($name) = @_;
    return $anchors{$name} ||= do {
        my %seen;
        +{ map {
            my $a = lc $_->[1] =~ s/`//gr =~ s/\[([^\]]*)\]\([^)]*\)/$1/gr;
            $a =~ s/[^\w\- ]//g;
            $a =~ tr/ /-/;
            my $n = $seen{$a}++;
            ($n ? "$a-$n" : $a) => 1;
        } sections(slurp($name)) };
    };
}

for my $name (names('*.md'), names('docs/*.md'), names('docs/*/*.md'), names('examples/*.md'),
              names('bench/*.md'), names('t/*.md'))
{
    my @broken;
    my ($folder) = $name =~ m{^(.*/)} ? $1 : '';
    my $text = slurp($name) =~ s/^```.*?^```$//msgr =~ s/`[^`\n]*`//gr;
    while ($text =~ /\]\(([^)\s]+)\)/g) {
        my $link = $1;
        my ($file, $anchor) = split /#/, $link, 2;
        next if $file =~ m{^https?://};
        my $path = $file eq '' ? $name : "$folder$file";
        1 while $path =~ s{[^/]+/\.\./}{};
        if (!-e root() . "/$path") {
            push @broken, "$link: no $path";
        } elsif (defined $anchor && !anchors($path)->{$anchor}) {
            push @broken, "$path has no #$anchor";
        }
    }
    is(join("\n", @broken), '', "$name: its links");
}

# One version everywhere

my ($version) = slurp('CHANGELOG.md') =~ /^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$/m;
$version //= 'none';
like(slurp('debian/changelog'), qr/\A\S+ \(\Q$version\E-\d/,
     "the package's version is the changelog's");

finish();
